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
	flags.StringArrayVar(&f.identity.Roles, "role", nil, "`ROLE` of the user, such as role:admin; may be repeated")
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
		subjects = append(subjects, policy.UserPrefix+f.identity.Email)
	}
	return subjects
}

func (f *identityFlags) check() error {
	if !f.isSet() {
		return errors.New("no subject is named; write --group, --user, --role or --anonymous")
	}
	for _, role := range f.identity.Roles {
		if policy.ParseSubject(role).Kind != policy.KindRole {
			return fmt.Errorf("--role is %q; a role begins with role:, so write --role role:%s", role, role)
		}
	}
	if slices.Contains(f.identity.Groups, "") { // an unset variable would make another user
		return errors.New("--group is empty; name a group, or leave the flag out")
	}
	name, domain, _ := strings.Cut(f.identity.Email, "@")
	if f.identity.Email != "" && (name == "" || domain == "" || policy.ParseSubject(name).Kind == policy.KindUser) {
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
	case policy.ParseSubject(subject).Kind == policy.KindRole:
		return "--role " + cli.ShellQuote(subject)
	case subject == policy.Anonymous:
		return "--anonymous"
	case policy.ParseSubject(subject).Kind == policy.KindUser:
		return "--user " + cli.ShellQuote(policy.ParseSubject(subject).Name)
	case strings.Contains(subject, "@"):
		return "--user " + cli.ShellQuote(subject)
	}
	return "--group " + cli.ShellQuote(subject)
}

// identityArgs writes who asks as flags.
func identityArgs(identity policy.Identity) []string {
	var words []string
	for _, group := range identity.Groups {
		words = append(words, "--group", cli.ShellQuote(group))
	}
	for _, role := range identity.Roles {
		words = append(words, "--role", cli.ShellQuote(role))
	}
	switch {
	case identity.Anonymous:
		words = append(words, "--anonymous")
	case identity.Email != "":
		words = append(words, "--user", cli.ShellQuote(identity.Email))
	case len(identity.Groups)+len(identity.Roles) == 0: // signed in, and mentioned by no row (RFC 2606)
		words = append(words, "--user", "user@example.invalid")
	}
	return words
}

// What the shell offers for a flag or an argument comes from the policy that the
// command line names so far. Where that does not load, nothing is offered: the
// command itself will say why.

// policyFromFlags is the policy that a half-written command line names, or nil.
func policyFromFlags(cmd *cobra.Command) *loadedPolicy {
	var flags policyFlags
	files, err := cmd.Flags().GetStringArray("policy")
	if err != nil {
		return nil
	}
	for _, file := range files { // cobra reads the flags twice, and so adds each file twice
		if !slices.Contains(flags.policies, file) {
			flags.policies = append(flags.policies, file)
		}
	}
	if flags.config, err = cmd.Flags().GetString("config"); err != nil || flags.usesStdin() {
		return nil
	}
	loaded, err := flags.load(cmd)
	if err != nil {
		return nil
	}
	return loaded
}

// upstreams gives the names that a TARGET may begin with.
func (l *loadedPolicy) upstreams() []string {
	if l.config != nil {
		return l.config.UpstreamNames()
	}
	return l.Upstreams()
}

// subjectsOf gives the subjects of a kind, without the prefix.
func (l *loadedPolicy) subjectsOf(kind policy.Kind) []string {
	var names []string
	for _, name := range l.Subjects() {
		if subject := policy.ParseSubject(name); subject.Kind == kind {
			names = append(names, subject.Name)
		}
	}
	return names
}

// targets gives the paths that rows name on an upstream.
func (l *loadedPolicy) targets(upstream string) []string {
	var targets []string
	for _, pattern := range l.Paths(upstream) {
		literal, _, _ := strings.Cut(pattern, "*")
		targets = append(targets, upstream+":"+literal)
	}
	slices.Sort(targets)
	return slices.Compact(targets)
}

// completeFromPolicy makes a completion of what a policy knows.
func completeFromPolicy(known func(*loadedPolicy) []string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		loaded := policyFromFlags(cmd)
		if loaded == nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return cli.FilterPrefix(toComplete, known(loaded)), cobra.ShellCompDirectiveNoFileComp
	}
}

func completeGroups() cobra.CompletionFunc {
	return completeFromPolicy(func(l *loadedPolicy) []string { return l.subjectsOf(policy.KindGroup) })
}

func completeUsers() cobra.CompletionFunc {
	return completeFromPolicy(func(l *loadedPolicy) []string { return l.subjectsOf(policy.KindUser) })
}

func completeRoles() cobra.CompletionFunc {
	return completeFromPolicy(func(l *loadedPolicy) []string {
		roles := l.subjectsOf(policy.KindRole)
		for i := range roles {
			roles[i] = policy.RolePrefix + roles[i]
		}
		return roles
	})
}

func completeUpstreams() cobra.CompletionFunc {
	return completeFromPolicy((*loadedPolicy).upstreams)
}

// commonMethods are those that dashboards use (RFC 9110, 9.3; RFC 5789).
var commonMethods = [...]string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// completeMethodTarget completes the arguments METHOD TARGET. A target begins with its
// upstream; then the paths that rows name are offered, each up to its first *.
func completeMethodTarget(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	switch len(args) {
	case 0:
		return cli.FilterPrefix(strings.ToUpper(toComplete), commonMethods[:]), cobra.ShellCompDirectiveNoFileComp
	case 1:
		if upstream, _, named := strings.Cut(toComplete, ":"); named {
			loaded := policyFromFlags(cmd)
			if loaded == nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return cli.FilterPrefix(toComplete, loaded.targets(upstream)),
				cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
		}
		names, directive := completeUpstreams()(cmd, args, toComplete)
		for i := range names {
			names[i] += ":/"
		}
		return names, directive | cobra.ShellCompDirectiveNoSpace
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}
