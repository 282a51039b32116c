package policycmd

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/example-org/authgate/cmd/authgate/cli"
	"github.com/example-org/authgate/policy"
)

// identityFlags say who asks.
type identityFlags struct{ identity policy.Identity }

func (f *identityFlags) add(cmd *cobra.Command) {
	f.addTo(cmd.Flags())
	for _, named := range []string{"group", "user", "role"} {
		cli.Exclusive(cmd, "anonymous", named)
	}
	_ = cmd.RegisterFlagCompletionFunc("group", completeGroups())
	_ = cmd.RegisterFlagCompletionFunc("user", completeUsers())
	_ = cmd.RegisterFlagCompletionFunc("role", completeRoles())
}

func (f *identityFlags) addTo(flags *pflag.FlagSet) {
	flags.StringArrayVar(&f.identity.Groups, "group", nil, "`GROUP` of the user, as the issuer sends it; may be repeated")
	flags.StringVar(&f.identity.Email, "user", "", "verified `EMAIL` of the user")
	flags.StringArrayVar(&f.identity.Roles, "role", nil, "`ROLE` held, such as role:admin; may be repeated")
	flags.BoolVar(&f.identity.Anonymous, "anonymous", false, "a client that is not signed in")
}

// isSet reports whether anything says who asks.
func (f *identityFlags) isSet() bool {
	return f.identity.Email != "" || len(f.identity.Groups) > 0 || len(f.identity.Roles) > 0 || f.identity.Anonymous
}

// subjects gives who asks as rows would name it.
func (f *identityFlags) subjects() []string {
	subjects := slices.Concat(f.identity.Groups, f.identity.Roles)
	if f.identity.Email != "" {
		subjects = append(subjects, "user:"+f.identity.Email)
	}
	return subjects
}

func (f *identityFlags) check() error {
	if !f.isSet() {
		return errors.New("nobody is named; write --group, --user, --role or --anonymous")
	}
	for _, role := range f.identity.Roles {
		if !strings.HasPrefix(role, "role:") {
			return fmt.Errorf("--role is %q; a role begins with role:, so write --role role:%s", role, role)
		}
	}
	if slices.Contains(f.identity.Groups, "") { // a variable that is not set makes another person
		return errors.New("--group is empty; name a group, or leave the flag out")
	}
	name, domain, _ := strings.Cut(f.identity.Email, "@")
	if f.identity.Email != "" && (name == "" || domain == "" || strings.HasPrefix(name, "user:")) {
		return fmt.Errorf("--user is %q; write the e-mail address alone, such as eve@example.com", f.identity.Email)
	}
	return nil
}

// identityArguments checks the arguments of a command with WHO, which is flags and reads
// like an argument.
func identityArguments(names ...string) cobra.PositionalArgs {
	check := cli.Arguments(names...)
	return func(cmd *cobra.Command, args []string) error {
		err := check(cmd, args)
		var extra cli.ExtraArgumentError
		if errors.As(err, &extra) {
			return fmt.Errorf("%q is one argument too many; write WHO as flags, such as %s", args[0], identityFlag(args[0]))
		}
		return err
	}
}

// identityFlag writes a subject as the flags of WHO do.
func identityFlag(subject string) string {
	switch {
	case strings.HasPrefix(subject, "role:"):
		return "--role " + cli.ShellQuote(subject)
	case subject == anonymousSubject:
		return "--anonymous"
	case strings.HasPrefix(subject, "user:"):
		return "--user " + cli.ShellQuote(strings.TrimPrefix(subject, "user:"))
	case strings.Contains(subject, "@"):
		return "--user " + cli.ShellQuote(subject)
	}
	return "--group " + cli.ShellQuote(subject)
}
