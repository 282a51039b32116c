package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/example-org/authgate/fault"
)

// maxBatchLine is far above what a request and a few groups take.
const maxBatchLine = 1 << 20

// batchLine is one request of standard input.
type batchLine struct {
	*question
	who *whoFlags
}

// runBatch answers requests of standard input. A line that is wrong is a mistake in the
// use of the command, and then none is answered.
func (c *policyCan) runBatch(cmd *cobra.Command) error {
	if c.who.given() {
		if err := c.who.check(); err != nil {
			return err
		}
	}
	loaded, err := c.flags.load(cmd)
	if err != nil {
		return err
	}
	lines, err := c.readBatch(cmd, loaded)
	if err != nil {
		return err
	}
	no := false
	for _, line := range lines {
		verdict, err := ask(line.question, line.who.who)
		if err != nil {
			return err
		}
		no = no || !verdict.yes()
		if c.quiet {
			continue
		}
		if err := c.out.answer(cmd, verdict, verdict.print); err != nil {
			return err
		}
	}
	if no {
		return errNo
	}
	return nil
}

func (c *policyCan) readBatch(cmd *cobra.Command, loaded *loadedPolicy) ([]batchLine, error) {
	var lines []batchLine
	var faults fault.List
	warned := map[string]bool{}
	scanner := bufio.NewScanner(cmd.InOrStdin())
	scanner.Buffer(nil, maxBatchLine)
	at := fault.Position{File: stdinName}
	for scanner.Scan() {
		at.Line++
		text := strings.TrimSpace(scanner.Text())
		if text == "" || text[0] == '#' {
			continue
		}
		line, err := c.readLine(cmd, loaded, text)
		if err != nil {
			faults.Add(at, err.Error(), "")
			continue
		}
		for _, name := range loaded.Unknown(line.who.subjects()...) {
			if !c.quiet && !warned[name.Name] {
				warned[name.Name] = true
				warn(cmd.ErrOrStderr(), at.String()+": "+name.String())
			}
		}
		lines = append(lines, line)
	}
	if err := scanner.Err(); err != nil {
		return nil, notLoaded{fmt.Errorf("reading standard input: %w", err)}
	}
	if err := faults.Err(); err != nil {
		return nil, misused{err}
	}
	if len(lines) == 0 {
		return nil, errors.New("standard input holds no request; write METHOD TARGET on each line")
	}
	return lines, nil
}

func (c *policyCan) readLine(cmd *cobra.Command, loaded *loadedPolicy, text string) (batchLine, error) {
	who, words := &c.who, strings.Fields(text)
	if !c.who.given() {
		var own whoFlags
		flags := pflag.NewFlagSet("", pflag.ContinueOnError)
		flags.SetOutput(io.Discard)
		own.addTo(flags)
		if err := flags.Parse(words); err != nil {
			return batchLine{}, errors.New("WHO cannot be read; write --group GROUP, --user EMAIL, --role ROLE or --anonymous, then METHOD TARGET")
		}
		if err := own.check(); err != nil {
			return batchLine{}, err
		}
		if own.who.Anonymous && (len(own.who.Groups)+len(own.who.Roles) > 0 || own.who.Email != "") {
			return batchLine{}, errors.New("--anonymous cannot be combined with other flags of WHO")
		}
		who, words = &own, flags.Args()
	}
	if len(words) != 2 {
		return batchLine{}, fmt.Errorf("%q is not METHOD TARGET; write such as GET argocd:/api/v1/applications", strings.Join(words, " "))
	}
	q, err := loaded.ask(cmd.ErrOrStderr(), words[0], words[1])
	return batchLine{q, who}, err
}
