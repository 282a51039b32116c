package cli

import (
	"bufio"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// Output is the form of an answer. Every policy command has text and json, whose keys are
// stable; some have further ones.
type Output struct {
	Format  string
	formats []string
}

const (
	TextFormat = "text"
	JSONFormat = "json"
)

// AddFlag adds --output with text, json and the further forms of a command.
func (o *Output) AddFlag(cmd *cobra.Command, more ...string) {
	o.formats = append([]string{TextFormat, JSONFormat}, more...)
	last := len(o.formats) - 1
	cmd.Flags().StringVarP(&o.Format, "output", "o", TextFormat,
		strings.Join(o.formats[:last], ", ")+" or "+o.formats[last])
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(o.formats, cobra.ShellCompDirectiveNoFileComp))
}

// Check refuses a form that the command does not have.
func (o *Output) Check() error {
	if err := OneOf(o.Format, o.formats); err != nil {
		return fmt.Errorf("--output is %q; %w", o.Format, err)
	}
	return nil
}

// Render renders one answer: the object for programs, or what print writes for a
// person.
func (o *Output) Render(cmd *cobra.Command, object any, print func(*Printer)) error {
	return o.RenderLazy(cmd, func() any { return object }, print)
}

// RenderLazy makes the object only where it is asked for: that of a large answer
// takes time.
func (o *Output) RenderLazy(cmd *cobra.Command, object func() any, print func(*Printer)) error {
	if o.Format == JSONFormat {
		encoder := json.NewEncoder(cmd.OutOrStdout())
		encoder.SetEscapeHTML(false)
		return WriteError(encoder.Encode(object()))
	}
	out := NewPrinter(cmd.OutOrStdout())
	buffered := bufio.NewWriter(out.w)
	out.w = buffered
	print(out)
	return WriteError(buffered.Flush())
}

// WriteError marks a failed write, which is not a mistake on the command line.
func WriteError(err error) error {
	if err != nil {
		return LoadError(writeError{err})
	}
	return nil
}
