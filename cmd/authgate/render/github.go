// Package render writes answers in the formats of other programs: SARIF, JUnit XML,
// workflow commands of GitHub, unified diffs and pieces of Markdown.
package render

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

// GitHubFormat is workflow commands of GitHub Actions: annotations in the diff of a pull
// request (docs.github.com, "Workflow commands for GitHub Actions").
const GitHubFormat = "github"

// Annotation is one of them.
type Annotation struct {
	Level        string // error, warning or notice
	File         string
	Line, Column int // 0: of the file as a whole
	Title, Text  string
}

// The characters that would end a value or begin another one.
var (
	githubText     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	githubProperty = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

func (a Annotation) String() string {
	var properties []string
	add := func(key, value string) {
		if value != "" && value != "0" {
			properties = append(properties, key+"="+githubProperty.Replace(value))
		}
	}
	add("file", filepath.ToSlash(a.File))
	add("line", fmt.Sprint(a.Line))
	add("col", fmt.Sprint(a.Column))
	add("title", a.Title)
	return "::" + strings.TrimSpace(a.Level+" "+strings.Join(properties, ",")) + "::" + githubText.Replace(a.Text)
}

func Annotations(w io.Writer, all []Annotation) error {
	var b strings.Builder
	for _, a := range all {
		b.WriteString(a.String() + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WithAnnotations also writes the faults of files as annotations if that is the form.
func WithAnnotations(o *cli.Output, run func(*cobra.Command, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		err := run(cmd, args)
		if o.Format != GitHubFormat {
			return err
		}
		if all := annotationsFrom(err); len(all) > 0 {
			return errors.Join(err, cli.WriteError(Annotations(cmd.OutOrStdout(), all)))
		}
		return err
	}
}

// annotationsFrom finds the faults in an error.
func annotationsFrom(err error) []Annotation {
	var joined interface{ Unwrap() []error }
	var faults fault.Faults
	var all []Annotation
	switch {
	case errors.As(err, &joined):
		for _, one := range joined.Unwrap() {
			all = append(all, annotationsFrom(one)...)
		}
	case errors.As(err, &faults):
		for _, f := range faults {
			text := strings.TrimSuffix(f.Message+"; "+f.Hint, "; ")
			all = append(all, Annotation{"error", f.File, f.Line, f.Column, "does not load", text})
		}
	}
	return all
}
