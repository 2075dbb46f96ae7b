package main

import (
	"bufio"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"
)

// image is the bill of a card's image: what dpkg knows and nothing more. Lineside's own package
// has a bill of its own.
func image(version, out, status string) error {
	f, err := os.Open(status)
	if err != nil {
		return err
	}
	defer f.Close()
	main := component{Type: "operating-system", Ref: "lineside-image@" + version, Name: "lineside-image", Version: version}
	b := bom{Format: "CycloneDX", Spec: "1.6", Version: 1, Metadata: metadata{main}}
	if b.Components, err = packages(f); err != nil {
		return err
	}
	top := dependency{Ref: main.Ref}
	for _, c := range b.Components {
		top.Depends = append(top.Depends, c.Ref)
	}
	b.Dependencies = []dependency{top}
	return b.write(out)
}

// packages reads dpkg's status file.
func packages(r io.Reader) ([]component, error) {
	var all []component
	fields := map[string]string{}
	flush := func() {
		if fields["Package"] != "" {
			c := component{Type: "library", Ref: fields["Package"], Name: fields["Package"], Version: fields["Version"], Purl: purl(fields)}
			all = append(all, c)
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
