// Command sbom turns dpkg's list of an image's packages into a bill of materials (CycloneDX
// 1.5, JSON) on standard output.
//
// It names what dpkg knows and nothing more: Lineside's own package has a bill of its own.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"
)

type component struct {
	Type    string `json:"type"`
	Name    string `json:"name"`
	Version string `json:"version"`
	PURL    string `json:"purl,omitempty"`
}

type bill struct {
	Format      string `json:"bomFormat"`
	SpecVersion string `json:"specVersion"`
	Version     int    `json:"version"`
	Metadata    struct {
		Component component `json:"component"`
	} `json:"metadata"`
	Components []component `json:"components"`
}

func main() {
	f := flag.NewFlagSet("sbom", flag.ExitOnError)
	version := f.String("version", "", "the image's `version`")
	_ = f.Parse(os.Args[1:]) // ends the program itself
	if f.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: sbom -version V DPKG-STATUS")
		os.Exit(2)
	}
	if err := run(f.Arg(0), *version, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "sbom: %v\n", err)
		os.Exit(1)
	}
}

func run(status, version string, out io.Writer) error {
	f, err := os.Open(status)
	if err != nil {
		return err
	}
	defer f.Close()
	b := bill{Format: "CycloneDX", SpecVersion: "1.5", Version: 1}
	b.Metadata.Component = component{Type: "operating-system", Name: "lineside-image", Version: version}
	if b.Components, err = packages(f); err != nil {
		return err
	}
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	return enc.Encode(b)
}

// packages reads dpkg's status file.
func packages(r io.Reader) ([]component, error) {
	var all []component
	fields := map[string]string{}
	flush := func() {
		if fields["Package"] != "" {
			all = append(all, component{Type: "library", Name: fields["Package"], Version: fields["Version"], PURL: purl(fields)})
		}
		clear(fields)
	}
	s := bufio.NewScanner(r)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		if s.Text() == "" {
			flush()
		} else if key, value, ok := strings.Cut(s.Text(), ": "); ok && !strings.HasPrefix(key, " ") {
			fields[key] = value
		}
	}
	flush()
	slices.SortFunc(all, func(a, b component) int { return strings.Compare(a.Name, b.Name) })
	return all, s.Err()
}

// purl is the package's URL (package-url, type deb). Lineside's own package is in no archive.
func purl(fields map[string]string) string {
	if fields["Package"] == "lineside" {
		return ""
	}
	return fmt.Sprintf("pkg:deb/debian/%s@%s?arch=%s&distro=bookworm", fields["Package"], url.QueryEscape(fields["Version"]), fields["Architecture"])
}
