package doctor

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/credential"
)

// CheckServiceAccounts requests the token of each account.
func CheckServiceAccounts(sources map[config.ServiceAccount]*credential.Source) []Check {
	var checks []Check
	for account, source := range sources {
		name := account.Namespace + "/" + account.Name
		if account.TokenFile != "" {
			name = account.TokenFile
		}
		checks = append(checks, Check{Name: "ServiceAccount " + name, Run: func(ctx context.Context) []Finding {
			_, err := source.Token(ctx)
			if err == nil {
				return []Finding{ok("its token is available")}
			}
			hint := ""
			var hinter interface{ Hint() string }
			if errors.As(err, &hinter) {
				hint = hinter.Hint()
			}
			return []Finding{fail(hint, "%s", err)}
		}})
	}
	slices.SortFunc(checks, func(a, b Check) int { return strings.Compare(a.Name, b.Name) })
	return checks
}
