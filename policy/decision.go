package policy

import "github.com/example-org/authgate/target"

// Effect is what a row says, and the outcome of a decision.
type Effect uint8

// The zero Effect refuses.
const (
	Deny Effect = iota
	Allow
)

// String gives the word that stands in the policy file and in the audit.
func (e Effect) String() string {
	if e == Allow {
		return "allow"
	}
	return "deny"
}

// Request is one question: may the holder of these roles use the method on the
// path of the upstream?
type Request struct {
	Roles    Roles // from Resolve of the snapshot that is asked
	Upstream string
	Path     target.Path
	Method   string // as the client sent it: methods are case-sensitive (RFC 9110, 9.1)
}

// Decision is the answer. The zero Decision denies.
type Decision struct {
	Effect Effect
	Row    *Row // the row that decided; nil where none matched

	disputed bool // index and casbin do not agree
}

// Allowed reports whether the request may go on.
func (d Decision) Allowed() bool { return d.Effect == Allow }

// NoMatch reports whether no row matches the request. An answer on which index
// and casbin do not agree is no for another reason: some row may.
func (d Decision) NoMatch() bool { return d.Row == nil && !d.disputed }

// String gives the answer as the audit does: allow policy.csv:3.
func (d Decision) String() string {
	if d.Row == nil {
		return d.Effect.String()
	}
	return d.Effect.String() + " " + d.Row.Where()
}
