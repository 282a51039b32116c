package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// output is the form of an answer. Every policy command has text, for people, and
// json, whose keys are stable; some have further ones.
type output struct {
	format  string
	formats []string
}

const (
	textFormat = "text"
	jsonFormat = "json"
)

func (o *output) add(cmd *cobra.Command, more ...string) {
	o.formats = append([]string{textFormat, jsonFormat}, more...)
	last := len(o.formats) - 1
	cmd.Flags().StringVarP(&o.format, "output", "o", textFormat, strings.Join(o.formats[:last], ", ")+" or "+o.formats[last])
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(o.formats, cobra.ShellCompDirectiveNoFileComp))
}

func (o *output) check() error {
	if err := oneOf(o.format, o.formats); err != nil {
		return fmt.Errorf("--output is %q; %w", o.format, err)
	}
	return nil
}

// render renders one answer: the object for programs, or what print writes for a
// person.
func (o *output) render(cmd *cobra.Command, object any, print func(*printer)) error {
	return o.renderLazy(cmd, func() any { return object }, print)
}

// renderLazy makes the object only where it is asked for: that of a large answer
// takes time.
func (o *output) renderLazy(cmd *cobra.Command, object func() any, print func(*printer)) error {
	if o.format == jsonFormat {
		encoder := json.NewEncoder(cmd.OutOrStdout())
		encoder.SetEscapeHTML(false)
		return asWriteError(encoder.Encode(object()))
	}
	out := newPrinter(cmd.OutOrStdout())
	buffered := bufio.NewWriter(out.w)
	out.w = buffered
	print(out)
	return asWriteError(buffered.Flush())
}

// asWriteError tells a full disk from a mistake on the command line.
func asWriteError(err error) error {
	if err != nil {
		return loadError{writeError{err}}
	}
	return nil
}
