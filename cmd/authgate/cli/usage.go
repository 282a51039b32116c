package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/example-org/authgate/fault"
)

// Mistakes on the command line, in sentences that name the command in use and say
// what to write. No text of cobra, pflag or strconv is shown.

// Arguments says which arguments a command takes: NAME, NAME... (one or more) or
// [NAME]. Only the last one may be of the latter two.
func Arguments(names ...string) cobra.PositionalArgs {
	minArgs, maxArgs := len(names), len(names)
	files := false // the arguments are files themselves
	for _, name := range names {
		switch {
		case strings.HasSuffix(name, "..."):
			maxArgs = -1
		case strings.HasPrefix(name, "["):
			minArgs--
		}
		files = files || slices.Contains(fileArguments, strings.TrimSuffix(name, "..."))
	}
	return func(cmd *cobra.Command, args []string) error {
		if err := CheckFlagValues(cmd); err != nil {
			return err
		}
		if !files {
			if err := misplacedFile(cmd, args, maxArgs == 0); err != nil {
				return err
			}
		}
		switch {
		case len(args) < minArgs:
			return missingArguments(cmd, names[len(args):minArgs])
		case maxArgs >= 0 && len(args) > maxArgs:
			return tooManyArguments(cmd, args, maxArgs)
		}
		return nil
	}
}

// fileArguments are the names of arguments that are files.
var fileArguments = []string{"FILE", "CASES", "OLD", "NEW"}

func missingArguments(cmd *cobra.Command, names []string) error {
	for i, name := range names {
		names[i] = strings.TrimSuffix(name, "...")
	}
	verb := " is missing"
	if len(names) > 1 {
		verb = " are missing"
	}
	return errors.New(strings.Join(names, " and ") + verb + "; write " + usageLine(cmd))
}

func tooManyArguments(cmd *cobra.Command, args []string, maxArgs int) error {
	if maxArgs == 0 {
		return fmt.Errorf("%s takes no argument, and %q is one; write %s", cmd.CommandPath(), args[0], usageLine(cmd))
	}
	return ExtraArgumentError(fmt.Sprintf("%q is one argument too many; write %s", args[maxArgs], usageLine(cmd)))
}

// ExtraArgumentError is the error of an argument that a command does not take.
type ExtraArgumentError string

func (e ExtraArgumentError) Error() string { return string(e) }

// usageLine is how a command is written, as its help has it.
func usageLine(cmd *cobra.Command) string {
	if cmd.HasParent() {
		return cmd.Parent().CommandPath() + " " + cmd.Use
	}
	return cmd.Use
}

// misplacedFile finds a configuration or a policy that stands where no file belongs.
// A command without arguments is meant to take any file by a flag.
func misplacedFile(cmd *cobra.Command, args []string, noArguments bool) error {
	for _, arg := range args {
		flag, what := "", ""
		switch strings.ToLower(filepath.Ext(arg)) {
		case ".yaml", ".yml":
			flag, what = "config", "a configuration"
		case ".csv":
			flag, what = "policy", "a policy"
		case ".log", ".gz", ".jsonl":
			flag, what = "audit", "an audit log"
		default:
			if _, err := os.Stat(arg); err != nil || !noArguments {
				continue
			}
			flag, what = "config", "a configuration"
		}
		if strings.Contains(arg, ":/") || cmd.Flags().Lookup(flag) == nil || cmd.Flags().Changed(flag) {
			continue
		}
		return fmt.Errorf("%q is not expected here; %s is named by a flag: write --%s %s", arg, what, flag, ShellQuote(arg))
	}
	return nil
}

// CheckFlagValues finds --group --user eve@example.com, where the value of the
// first flag is missing and the second one is taken for it.
func CheckFlagValues(cmd *cobra.Command) (err error) {
	cmd.Flags().Visit(func(f *pflag.Flag) {
		values := []string{f.Value.String()}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		}
		for _, value := range values {
			name, _, _ := strings.Cut(strings.TrimPrefix(value, "--"), "=")
			if strings.HasPrefix(value, "--") && cmd.Flags().Lookup(name) != nil {
				err = fmt.Errorf("%s; %q is the flag that follows it", needsValue(f), value)
			}
		}
	})
	return err
}

// Exclusive refuses flags that cannot be combined; completion offers only one.
func Exclusive(cmd *cobra.Command, names ...string) {
	cmd.MarkFlagsMutuallyExclusive(names...)
	next := cmd.PreRunE
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		var given []string
		for _, name := range names {
			if cmd.Flags().Changed(name) {
				given = append(given, "--"+name)
			}
		}
		if len(given) > 1 {
			return fmt.Errorf("%s cannot be combined; write one of them", strings.Join(given, " and "))
		}
		if next != nil {
			return next(cmd, args)
		}
		return nil
	}
}

// OneOf refuses a word that is not among some, with a guess at what was meant.
func OneOf(word string, known []string) error {
	if slices.Contains(known, word) {
		return nil
	}
	last := len(known) - 1
	write := "write " + strings.Join(known[:last], ", ") + " or " + known[last]
	if hint := fault.DidYouMean(word, known); hint != "" {
		write = hint + " " + write
	}
	return errors.New(write)
}

// flagError puts what is wrong with a flag in words.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	var missing *pflag.ValueRequiredError
	var invalid *pflag.InvalidValueError
	var syntax *pflag.InvalidSyntaxError
	switch {
	case errors.As(err, &unknown):
		return unknownFlag(cmd, unknown)
	case errors.As(err, &missing):
		return errors.New(needsValue(missing.GetFlag()))
	case errors.As(err, &invalid):
		f := invalid.GetFlag()
		return fmt.Errorf("--%s is %q; %s", f.Name, invalid.GetValue(), valueHint(f, invalid.Unwrap()))
	case errors.As(err, &syntax):
		return fmt.Errorf("%q is not a flag; a flag begins with --, and a letter", syntax.GetSpecifiedFlag())
	}
	return err
}

func unknownFlag(cmd *cobra.Command, err *pflag.NotExistError) error {
	var known []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			known = append(known, "--"+f.Name)
		}
	})
	word := "--" + err.GetSpecifiedName()
	if cluster := err.GetSpecifiedShortnames(); cluster != "" {
		word = "-" + cluster
	}
	name, _, _ := strings.Cut(strings.TrimLeft(word, "-"), "=")
	what := fmt.Sprintf("%s has no flag %s", cmd.CommandPath(), word)
	if hint := fault.DidYouMean("--"+name, known); hint != "" {
		what += "; " + hint
	}
	return errors.New(what)
}

// needsValue names a flag that stands without its value, and how to write it.
func needsValue(f *pflag.Flag) string {
	name, _ := pflag.UnquoteUsage(f)
	return fmt.Sprintf("--%s needs a value; write --%s %s", f.Name, f.Name, strings.ToUpper(name))
}

// valueHint says what a flag takes. Flags with a type of their own say so themselves.
func valueHint(f *pflag.Flag, own error) string {
	switch f.Value.Type() {
	case "int", "int64":
		return "write a whole number, such as " + f.DefValue
	case "duration":
		return "write a time with its unit, such as 90s, 15m or 12h"
	case "bool":
		return "write --" + f.Name + " alone, or --" + f.Name + "=false"
	case "stringSlice":
		return "write names separated by commas"
	}
	return own.Error()
}

// ShellQuote quotes what a shell would take apart or fill in.
func ShellQuote(s string) string {
	plain := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("@%+=:,./_-", r)
	}
	if s != "" && strings.TrimFunc(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
