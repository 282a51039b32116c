package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/example-org/authgate/policy"
)

// whoFlags say who asks.
type whoFlags struct{ who policy.Who }

func (f *whoFlags) add(cmd *cobra.Command) {
	f.addTo(cmd.Flags())
	for _, named := range []string{"group", "user", "role"} {
		exclusive(cmd, "anonymous", named)
	}
	_ = cmd.RegisterFlagCompletionFunc("group", offerGroups())
	_ = cmd.RegisterFlagCompletionFunc("user", offerUsers())
	_ = cmd.RegisterFlagCompletionFunc("role", offerRoles())
}

func (f *whoFlags) addTo(flags *pflag.FlagSet) {
	flags.StringArrayVar(&f.who.Groups, "group", nil, "`GROUP` of the user, as the issuer sends it; may be repeated")
	flags.StringVar(&f.who.Email, "user", "", "verified `EMAIL` of the user")
	flags.StringArrayVar(&f.who.Roles, "role", nil, "`ROLE` held, such as role:admin; may be repeated")
	flags.BoolVar(&f.who.Anonymous, "anonymous", false, "a client that is not signed in")
}

// given reports whether anything says who asks.
func (f *whoFlags) given() bool {
	return f.who.Email != "" || len(f.who.Groups) > 0 || len(f.who.Roles) > 0 || f.who.Anonymous
}

// subjects gives who asks as rows would name it.
func (f *whoFlags) subjects() []string {
	subjects := slices.Concat(f.who.Groups, f.who.Roles)
	if f.who.Email != "" {
		subjects = append(subjects, "user:"+f.who.Email)
	}
	return subjects
}

func (f *whoFlags) check() error {
	if !f.given() {
		return errors.New("nobody is named; write --group, --user, --role or --anonymous")
	}
	for _, role := range f.who.Roles {
		if !strings.HasPrefix(role, "role:") {
			return fmt.Errorf("--role is %q; a role begins with role:, so write --role role:%s", role, role)
		}
	}
	if slices.Contains(f.who.Groups, "") { // a variable that is not set makes another person
		return errors.New("--group is empty; name a group, or leave the flag out")
	}
	name, domain, _ := strings.Cut(f.who.Email, "@")
	if f.who.Email != "" && (name == "" || domain == "" || strings.HasPrefix(name, "user:")) {
		return fmt.Errorf("--user is %q; write the e-mail address alone, such as eve@example.com", f.who.Email)
	}
	return nil
}
