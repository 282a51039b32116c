package respond

import (
	"encoding/json"
	"net/http"
	"strings"
)

// problem is RFC 9457 with members of authgate's own.
type problem struct {
	Type     string   `json:"type"`
	Title    string   `json:"title"`
	Status   int      `json:"status"`
	Detail   string   `json:"detail"`
	ID       string   `json:"id"`
	Reason   string   `json:"reason,omitempty"` // why the client is not authenticated
	Login    string   `json:"login,omitempty"`  // where a browser signs in
	User     string   `json:"user,omitempty"`
	Groups   []string `json:"groups,omitempty"`
	Overage  bool     `json:"groups_overage,omitempty"` // the issuer left the groups out: there are too many
	Admitted []string `json:"admitted,omitempty"`       // groups with access: the first ten
	More     int      `json:"admitted_more,omitempty"`  // number of further groups with access
	Rule     string   `json:"rule,omitempty"`

	// As grpc-gateway v1 writes errors (runtime/errors.go, errorBody): the UIs of Argo show
	// error, and `argo` takes an answer without a code for a success.
	Error   string `json:"error"` // that of RFC 6749, 5.2, where an issuer reads it
	Code    int    `json:"code"`
	Message string `json:"message"`

	Description string `json:"error_description,omitempty"`
}

// WriteProblem writes a refusal as problem+json.
func WriteProblem(q Request, f *Refusal) {
	body := problem{
		Type: "urn:authgate:problem:" + f.Code, Title: title(f.Status), Status: f.Status, Detail: f.Detail, ID: q.ID,
		Reason: f.Reason, Login: f.LoginURL,
		Error: f.Detail, Code: grpcStatus(f.Status), Message: f.Detail,
	}
	if d := f.Denied; d != nil {
		body.User, body.Groups, body.Overage = d.User, d.Groups, d.Overage
		body.Admitted, body.More, body.Rule = d.Admitted, d.AdmittedMore, d.Rule
	}
	if f.OAuth {
		body.Error, body.Description = "invalid_request", f.Detail
	}
	h := q.W.Header()
	h.Set("Content-Type", "application/problem+json")
	challenge(h, f.Status, tokenError(q, f))
	text, _ := json.Marshal(body) // of strings and numbers
	Send(q.W, f.Status, append(text, '\n'))
}

// tokenError says what is wrong with the token of a request; empty: it has none.
func tokenError(q Request, f *Refusal) string {
	if !q.HasToken {
		return ""
	}
	return f.Detail
}

// challenge adds what RFC 9110, 11.6.1 requires of a 401, and RFC 6750, 3 where a token was
// not accepted.
func challenge(h http.Header, status int, reason string) {
	switch {
	case status != http.StatusUnauthorized:
	case reason != "":
		h.Set("WWW-Authenticate",
			`Bearer realm="authgate", error="invalid_token", error_description="`+errorDescription(reason)+`"`)
	default:
		h.Set("WWW-Authenticate", `Bearer realm="authgate"`)
	}
}

// errorDescription keeps the characters that RFC 6750, 3 allows in error_description.
func errorDescription(reason string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '"' || r == '`' || r == '\\':
			return '\''
		case r < ' ' || r > '~':
			return -1
		}
		return r
	}, reason)
}
