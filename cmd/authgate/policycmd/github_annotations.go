package policycmd

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/example-org/authgate/cmd/authgate/cli"
	"github.com/example-org/authgate/fault"
)

// githubFormat is workflow commands of GitHub Actions: annotations in the diff of a pull
// request (docs.github.com, "Workflow commands for GitHub Actions").
const githubFormat = "github"

// annotation is one of them.
type annotation struct {
	level        string // error, warning or notice
	file         string
	line, column int // 0: of the file as a whole
	title, text  string
}

// The characters that would end a value or begin another one.
var (
	githubText     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	githubProperty = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

func (a annotation) String() string {
	var properties []string
	add := func(key, value string) {
		if value != "" && value != "0" {
			properties = append(properties, key+"="+githubProperty.Replace(value))
		}
	}
	add("file", filepath.ToSlash(a.file))
	add("line", fmt.Sprint(a.line))
	add("col", fmt.Sprint(a.column))
	add("title", a.title)
	return "::" + strings.TrimSpace(a.level+" "+strings.Join(properties, ",")) + "::" + githubText.Replace(a.text)
}

func writeAnnotations(w io.Writer, all []annotation) error {
	var b strings.Builder
	for _, a := range all {
		b.WriteString(a.String() + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// withAnnotations also writes the faults of files as annotations if that is the form.
func withAnnotations(o *cli.Output, run func(*cobra.Command, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		err := run(cmd, args)
		if o.Format != githubFormat {
			return err
		}
		if all := annotationsFrom(err); len(all) > 0 {
			return errors.Join(err, cli.WriteError(writeAnnotations(cmd.OutOrStdout(), all)))
		}
		return err
	}
}

// annotationsFrom finds the faults in an error.
func annotationsFrom(err error) []annotation {
	var joined interface{ Unwrap() []error }
	var faults fault.Faults
	var all []annotation
	switch {
	case errors.As(err, &joined):
		for _, one := range joined.Unwrap() {
			all = append(all, annotationsFrom(one)...)
		}
	case errors.As(err, &faults):
		for _, f := range faults {
			text := strings.TrimSuffix(f.Message+"; "+f.Hint, "; ")
			all = append(all, annotation{"error", f.File, f.Line, f.Column, "does not load", text})
		}
	}
	return all
}
