package policycmd

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/example-org/authgate/cmd/authgate/cli"
	"github.com/example-org/authgate/fault"
)

// maxBatchLine is far above what a request and a few groups take.
const maxBatchLine = 1 << 20

// batchRequest is one request of standard input.
type batchRequest struct {
	*query
	identity *identityFlags
}

// runBatch answers requests of standard input. A line that is wrong is a mistake in the
// use of the command, and then none is answered.
func (c *policyCan) runBatch(cmd *cobra.Command) error {
	if c.identity.isSet() {
		if err := c.identity.check(); err != nil {
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
		answer, err := decide(line.query, line.identity.identity)
		if err != nil {
			return err
		}
		no = no || !answer.allowed()
		if c.quiet {
			continue
		}
		if err := c.out.Render(cmd, answer, answer.print); err != nil {
			return err
		}
	}
	if no {
		return cli.ErrNo
	}
	return nil
}

func (c *policyCan) readBatch(cmd *cobra.Command, loaded *loadedPolicy) ([]batchRequest, error) {
	var lines []batchRequest
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
		for _, name := range loaded.Unknown(line.identity.subjects()...) {
			if !c.quiet && !warned[name.Name] {
				warned[name.Name] = true
				warn(cmd.ErrOrStderr(), at.String()+": "+name.String())
			}
		}
		lines = append(lines, line)
	}
	if err := scanner.Err(); err != nil {
		return nil, cli.LoadError(fmt.Errorf("reading standard input: %w", err))
	}
	if err := faults.Err(); err != nil {
		return nil, cli.UsageError(err)
	}
	if len(lines) == 0 {
		return nil, errors.New("standard input holds no request; write METHOD TARGET on each line")
	}
	return lines, nil
}

func (c *policyCan) readLine(cmd *cobra.Command, loaded *loadedPolicy, text string) (batchRequest, error) {
	idFlags, words := &c.identity, strings.Fields(text)
	if !c.identity.isSet() {
		var lineFlags identityFlags
		flags := pflag.NewFlagSet("", pflag.ContinueOnError)
		flags.SetOutput(io.Discard)
		lineFlags.addTo(flags)
		if err := flags.Parse(words); err != nil {
			return batchRequest{},
				errors.New("WHO cannot be read; write --group GROUP, --user EMAIL, --role ROLE or --anonymous, then METHOD TARGET")
		}
		if err := lineFlags.check(); err != nil {
			return batchRequest{}, err
		}
		if lineFlags.identity.Anonymous && (len(lineFlags.identity.Groups)+len(lineFlags.identity.Roles) > 0 ||
			lineFlags.identity.Email != "") {
			return batchRequest{}, errors.New("--anonymous cannot be combined with other flags of WHO")
		}
		idFlags, words = &lineFlags, flags.Args()
	}
	if len(words) != 2 {
		return batchRequest{}, fmt.Errorf("%q is not METHOD TARGET; write such as GET argocd:/api/v1/applications",
			strings.Join(words, " "))
	}
	q, err := loaded.newQuery(cmd.ErrOrStderr(), words[0], words[1])
	return batchRequest{q, idFlags}, err
}
