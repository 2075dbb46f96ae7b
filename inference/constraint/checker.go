package constraint

import (
	"errors"
	"fmt"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// checker validates single values against single schemas of the document:
// whether an enum's value also passes what stands beside it.
type checker struct {
	compiler *jsonschema.Compiler
	schemas  map[string]*jsonschema.Schema
}

const documentURL = "mem:///schema.json"

// newChecker checks the document against its meta-schema.
func newChecker(root any) (*checker, error) {
	c := &checker{jsonschema.NewCompiler(), map[string]*jsonschema.Schema{}}
	c.compiler.UseLoader(closed{})
	c.compiler.AssertFormat()
	if err := c.compiler.AddResource(documentURL, plainValue(root)); err != nil {
		return nil, bad("schema: %v", err)
	}
	return c, nil
}

// closed loads nothing: a schema is one document.
type closed struct{}

func (closed) Load(url string) (any, error) {
	return nil, fmt.Errorf("%s: other documents are not read", url)
}

// valid reports whether v passes the schema at a pointer.
func (c *checker) valid(at string, v any) (bool, error) {
	sch := c.schemas[at]
	if sch == nil {
		var err error
		if sch, err = c.compiler.Compile(documentURL + at); err != nil {
			return false, bad("schema at %s: %v", at, err)
		}
		c.schemas[at] = sch
	}
	err := sch.Validate(plainValue(v))
	var invalid *jsonschema.ValidationError
	if err != nil && !errors.As(err, &invalid) {
		return false, bad("schema at %s: %v", at, err)
	}
	return err == nil, nil
}
