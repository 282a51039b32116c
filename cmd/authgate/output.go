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
	form  string
	forms []string
}

const (
	textForm = "text"
	jsonForm = "json"
)

func (o *output) add(cmd *cobra.Command, more ...string) {
	o.forms = append([]string{textForm, jsonForm}, more...)
	last := len(o.forms) - 1
	cmd.Flags().StringVarP(&o.form, "output", "o", textForm, strings.Join(o.forms[:last], ", ")+" or "+o.forms[last])
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(o.forms, cobra.ShellCompDirectiveNoFileComp))
}

func (o *output) check() error {
	if err := oneOf(o.form, o.forms); err != nil {
		return fmt.Errorf("--output is %q; %w", o.form, err)
	}
	return nil
}

// answer renders one answer: the object for programs, or what print writes for a
// person.
func (o *output) answer(cmd *cobra.Command, object any, print func(*sheet)) error {
	return o.answerBy(cmd, func() any { return object }, print)
}

// answerBy makes the object only where it is asked for: that of a large answer
// takes time.
func (o *output) answerBy(cmd *cobra.Command, object func() any, print func(*sheet)) error {
	if o.form == jsonForm {
		encoder := json.NewEncoder(cmd.OutOrStdout())
		encoder.SetEscapeHTML(false)
		return written(encoder.Encode(object()))
	}
	out := newSheet(cmd.OutOrStdout())
	buffered := bufio.NewWriter(out.w)
	out.w = buffered
	print(out)
	return written(buffered.Flush())
}

// written tells a full disk from a mistake on the command line.
func written(err error) error {
	if err != nil {
		return notLoaded{lostOutput{err}}
	}
	return nil
}
