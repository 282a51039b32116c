package program_test

import (
	"flag"
	"strings"
	"testing"

	"github.com/example-org/authgate/integration/program"
)

func TestFlagsOfACommand(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		args, says string
		code       int
		ok         bool
	}{
		{args: "-port 1", ok: true},
		{args: "-h", says: "Usage of demo"},
		{args: "-no", says: "not defined: -no", code: 2},
		{args: "-port 1 more", says: `demo: unexpected argument "more"; see demo -h`, code: 2},
	} {
		var said strings.Builder
		flags := flag.NewFlagSet("demo", flag.ContinueOnError)
		flags.SetOutput(&said)
		flags.Int("port", 0, "")
		code, ok := program.ParseFlags(flags, strings.Fields(row.args))
		if code != row.code || ok != row.ok || !strings.Contains(said.String(), row.says) {
			t.Errorf("%s: %d, %v, %q", row.args, code, ok, said.String())
		}
	}
}
