// Package audit writes down what authgate decided: one JSON object a line, the
// same keys on every line, nothing secret in any of them. Reading a log back
// decodes into the same [Record].
package audit

import "time"

// Record is one event. Its keys are a public contract.
type Record struct {
	Time       time.Time `json:"time"` // UTC, when the request arrived
	Event      Event     `json:"event"`
	ID         string    `json:"id"`         // also on every page that authgate shows
	RequestID  string    `json:"request_id"` // what the client, or authgate, named it in X-Request-Id
	Remote     string    `json:"remote"`     // client address, behind trusted proxies
	Host       string    `json:"host"`
	Method     string    `json:"method"`
	Path       string    `json:"path"` // canonical, never with a query
	Upstream   string    `json:"upstream"`
	Subject    string    `json:"sub"`
	Email      string    `json:"email"`
	Roles      []string  `json:"roles"`
	Groups     []string  `json:"groups"` // and user:EMAIL, user:*@DOMAIN, ORG:*, system:NAME: as what else the policy knows them
	Decision   Decision  `json:"decision"`
	Reason     string    `json:"reason"`     // code of a refusal, or why an event failed
	Rule       string    `json:"rule"`       // file:line
	Policy     string    `json:"policy"`     // hash
	Generation uint64    `json:"generation"` // how many policies there were since the start
	Age        float64   `json:"age"`        // seconds that it had been in force
	Status     int       `json:"status"`
	Bytes      int64     `json:"bytes"` // of the response body
	Millis     float64   `json:"ms"`
	Shadow     string    `json:"shadow"` // what the candidate policy says: allow, deny, or nothing
}

// Event says what a record is about.
type Event string

// The events.
const (
	Request     Event = "request"
	Login       Event = "login"
	LoginFailed Event = "login_failed"
	Logout      Event = "logout"
	Refresh     Event = "refresh"    // groups were read again, or not
	Policy      Event = "policy"     // a policy was loaded or refused
	StreamCut   Event = "stream_cut" // a stream was ended because it may not go on
)

// Decision says what became of a request.
type Decision string

// The decisions. Authgate's own pages are allowed or refused like any other.
const (
	Allow         Decision = "allow"
	Deny          Decision = "deny"
	LoginRequired Decision = "login"  // sent to the issuer, or told to sign in
	Refuse        Decision = "refuse" // before any policy was asked
)
