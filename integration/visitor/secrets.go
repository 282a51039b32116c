package visitor

import (
	"maps"
	"net/http"
	"slices"
)

// leastSecret is the length below which a value may stand anywhere by chance.
const leastSecret = 8 // bytes

// Secrets are the values of all cookies that this browser was given, and of the
// parameters of logins that it passed through: none of them may be in a log.
func (v *Visitor) Secrets() []string { return slices.Collect(maps.Keys(v.seen)) }

func (v *Visitor) remember(res *http.Response) {
	if v.seen == nil { // curl has no user
		return
	}
	note := func(value string) {
		if len(value) >= leastSecret {
			v.seen[value] = true
		}
	}
	for _, c := range res.Cookies() {
		note(c.Value)
	}
	query := res.Request.URL.Query()
	for _, name := range []string{"code", "state", "nonce", "code_challenge"} {
		note(query.Get(name))
	}
}
