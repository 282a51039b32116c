package program

import (
	"errors"
	"flag"
	"fmt"
)

// ParseFlags parses the flags of a command that takes no arguments. If it reports false, the
// command ends with the exit code: 0 after a request for help, 2 after wrong usage, which it has
// explained on the output of flags.
func ParseFlags(flags *flag.FlagSet, args []string) (code int, ok bool) {
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0, false
	case err != nil:
		return 2, false
	case flags.NArg() > 0:
		_, _ = fmt.Fprintf(flags.Output(), "%[1]s: unexpected argument %[2]q; see %[1]s -h\n", flags.Name(), flags.Arg(0))
		return 2, false
	}
	return 0, true
}
