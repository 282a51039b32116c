package server

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/example-org/authgate/color"
	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/imagefile"
	"github.com/example-org/authgate/proxy/respond/page"
	"github.com/example-org/authgate/text"
	"github.com/example-org/authgate/yamlfile"
)

const (
	maxLogoBytes     = 64 << 10
	maxTemplateBytes = 256 << 10
)

// readPages reads the logo and the templates, and renders every page once, so that a mistake in
// a template is found at the start.
func (p *Deps) readPages(onMissing MissingHandler) error {
	c := p.Config.Pages
	logo, noLogo := imagefile.Read(c.Logo, maxLogoBytes)
	templates, noTemplates := readTemplates(c.Templates)
	if err := errors.Join(onMissing.handle(noLogo), onMissing.handle(noTemplates)); err != nil {
		return err
	}
	var err error
	p.Pages, err = page.New(page.Options{
		Brand:     page.Brand{Name: c.Name, Logo: logo, Accent: accentOf(c), HelpURL: c.HelpURL},
		Templates: templates,
	})
	var mistakes page.TemplateErrors
	if errors.As(err, &mistakes) {
		return templateFaults(c.Templates.Path, mistakes)
	}
	return err
}

// accentOf is the colour of the configuration, and that of the text on it.
func accentOf(c config.Pages) page.Accent {
	background, err := color.Parse(c.Accent)
	if err != nil { // empty: the configuration is checked
		return page.Accent{}
	}
	return page.Accent{Color: background.String(), Text: color.ReadableOn(background).String()}
}

// readTemplates reads a folder. Files that begin with a dot are not templates: Kubernetes keeps
// its own in the volume of a ConfigMap.
func readTemplates(dir yamlfile.FileRef) (page.Templates, error) {
	if dir.Path == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(dir.Path)
	if err != nil {
		return nil, notReadError{dir.Fault(fmt.Sprintf("reading %s: %v", dir.Path, text.WithoutPath(err)),
			"name a folder of templates"), err}
	}
	var faults fault.List
	all := make(page.Templates)
	for _, entry := range entries {
		name, file := entry.Name(), filepath.Join(dir.Path, entry.Name())
		if strings.HasPrefix(name, ".") {
			continue
		}
		at := fault.Position{File: file}
		if !slices.Contains(page.Names(), name) {
			hint := fault.DidYouMean(name, page.Names())
			if hint == "" {
				hint = "name it " + text.JoinOr(page.Names()) + ", or move it elsewhere"
			}
			faults.Add(at, "replaces no template of authgate", hint)
			continue
		}
		data, err := readTemplate(file)
		if err != nil {
			faults.Add(at, err.Error(), "")
			continue
		}
		all[name] = data
	}
	return all, faults.Err()
}

func readTemplate(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", text.WithoutPath(err))
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxTemplateBytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("cannot be read: %w", text.WithoutPath(err))
	case len(data) > maxTemplateBytes:
		return nil, fmt.Errorf("has more than %d KiB", maxTemplateBytes>>10)
	}
	return data, nil
}

// templateFaults names the files in which mistakes are.
func templateFaults(dir string, mistakes page.TemplateErrors) error {
	var faults fault.List
	for _, m := range mistakes {
		at := fault.Position{File: filepath.Join(dir, m.File), Line: m.Line, Column: m.Column}
		faults.Add(at, m.Message, "docs/pages.md lists the fields and functions of each template")
	}
	return faults.Err()
}

// notReadError is a folder that cannot be read. errors.Is tells why.
type notReadError struct {
	fault.Fault
	cause error
}

func (e notReadError) Unwrap() error { return e.cause }
