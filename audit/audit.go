// Package audit records what authgate decided: one JSON object per line, with the same keys
// on every line and nothing secret. Reading a log decodes into the same [Record].
package audit

import (
	"crypto/rand"
	"encoding/hex"
	"time"
)

// Record is one event. Its keys are a public contract.
type Record struct {
	Time      time.Time `json:"time"` // UTC, when the request arrived
	Event     Event     `json:"event"`
	ID        string    `json:"id"`         // also on every page of authgate
	RequestID string    `json:"request_id"` // what the client, or authgate, named it in X-Request-Id
	Remote    string    `json:"remote"`     // client address, as trusted proxies report it
	Host      string    `json:"host"`
	Method    string    `json:"method"`
	Path      string    `json:"path"` // canonical, never with a query
	Upstream  string    `json:"upstream"`
	Subject   string    `json:"sub"`
	Email     string    `json:"email"`
	Roles     []string  `json:"roles"`
	// and the other subjects that match: user:EMAIL, user:*@DOMAIN, ORG:*, system:NAME
	Groups     []string `json:"groups"`
	Decision   Decision `json:"decision"`
	Reason     string   `json:"reason"`     // code of a refusal, or why an event failed
	Rule       string   `json:"rule"`       // file:line
	Policy     string   `json:"policy"`     // hash
	Generation uint64   `json:"generation"` // how many policies were loaded since the start
	Age        float64  `json:"age"`        // seconds since it was loaded
	Status     int      `json:"status"`
	Bytes      int64    `json:"bytes"` // of the response body
	Millis     float64  `json:"ms"`
	Shadow     string   `json:"shadow"` // decision of the shadow policy: allow, deny, or empty
}

// Outcome is the result of a request.
type Outcome struct {
	Event    Event
	Decision Decision
	Reason   string
}

// Event says what a record is about.
type Event string

// The events.
const (
	Request     Event = "request"
	Login       Event = "login"
	LoginFailed Event = "login_failed"
	Logout      Event = "logout"
	Refresh     Event = "refresh"    // groups were refreshed, or could not be
	Policy      Event = "policy"     // a policy was loaded or refused
	StreamCut   Event = "stream_cut" // a stream was ended because it is no longer allowed
)

// Decision is the outcome of a request.
type Decision string

// The decisions. Requests to authgate's own pages are allowed or refused like others.
const (
	Allow         Decision = "allow"
	Deny          Decision = "deny"
	LoginRequired Decision = "login"  // redirected to the issuer, or asked to sign in
	Refuse        Decision = "refuse" // before the policy was evaluated
)

// NewID returns a random ID for a record.
func NewID() string {
	var id [8]byte
	rand.Read(id[:]) // never fails (crypto/rand, Go 1.24)
	return hex.EncodeToString(id[:])
}
