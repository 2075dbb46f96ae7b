package layout

import (
	"fmt"
	"io"
)

// Genimage writes the builder's configuration for genimage: the card's image NAME.img of
// files called after the partitions (selector.img, boot-a.img, …).
func Genimage(w io.Writer, name string) error {
	out := &errWriter{w: w}
	out.printf("image %s.img {\n\thdimage {\n\t\tpartition-table-type = \"mbr\"\n\t\tdisk-signature = 0x%08x\n\t\textended-partition = %d\n\t\talign = 4M\n\t}\n",
		name, uint32(DiskSignature), Extended)
	for _, p := range Partitions() {
		out.printf("\tpartition %s {\n\t\tpartition-type = 0x%02x\n\t\timage = \"%s.img\"\n\t\tsize = %dM\n\t}\n", p.Name, p.Type, p.Name, p.Bytes/MiB)
	}
	out.printf("}\n")
	return out.err
}

// errWriter keeps the first error.
type errWriter struct {
	w   io.Writer
	err error
}

func (e *errWriter) printf(format string, args ...any) {
	if e.err == nil {
		_, e.err = fmt.Fprintf(e.w, format, args...)
	}
}
