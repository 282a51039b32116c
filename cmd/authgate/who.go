package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/example-org/authgate/policy"
)

// whoFlags say who asks.
type whoFlags struct{ who policy.Who }

func (f *whoFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.who.Groups, "group", nil, "`GROUP` of the person, as the issuer sends it; may be repeated")
	cmd.Flags().StringVar(&f.who.Email, "user", "", "verified `EMAIL` of the person")
	cmd.Flags().StringArrayVar(&f.who.Roles, "role", nil, "`ROLE` held, such as role:admin; may be repeated")
	cmd.Flags().BoolVar(&f.who.Anonymous, "anonymous", false, "somebody who is not signed in")
	for _, named := range []string{"group", "user", "role"} {
		exclusive(cmd, "anonymous", named)
	}
	_ = cmd.RegisterFlagCompletionFunc("group", offerGroups())
	_ = cmd.RegisterFlagCompletionFunc("user", offerUsers())
	_ = cmd.RegisterFlagCompletionFunc("role", offerRoles())
}

func (f *whoFlags) check() error {
	if f.who.Email == "" && len(f.who.Groups) == 0 && len(f.who.Roles) == 0 && !f.who.Anonymous {
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
