package dashboards

import (
	"net/http"
	"net/url"
	"strings"
)

// forwardedIdentity is the user of the identity headers.
type forwardedIdentity struct {
	User, Email, Login string
	Groups             []string
}

// readIdentityHeaders reads the identity headers. Groups are joined by commas, each
// percent-encoded where it holds one.
func readIdentityHeaders(r *http.Request) forwardedIdentity {
	t := forwardedIdentity{
		User:  r.Header.Get("X-Forwarded-User"),
		Email: r.Header.Get("X-Forwarded-Email"),
		Login: r.Header.Get("X-Forwarded-Preferred-Username"),
	}
	for g := range strings.SplitSeq(r.Header.Get("X-Forwarded-Groups"), ",") {
		if g = strings.TrimSpace(g); g == "" {
			continue
		}
		if plain, err := url.PathUnescape(g); err == nil {
			g = plain
		}
		t.Groups = append(t.Groups, g)
	}
	return t
}

// Name is what the head line calls the user.
func (t forwardedIdentity) Name() string {
	for _, name := range []string{t.Login, t.Email, t.User} {
		if name != "" {
			return name
		}
	}
	return "anonymous"
}
