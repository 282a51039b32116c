package admin

import (
	"errors"
	"time"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/policy"
)

// Operator is what the operator pages read, besides the sessions.
type Operator struct {
	Status func() Status // the state right now
	Tools  PolicyTools
	Recent *audit.Recent
	Store  string // that of the configuration, for people: cookie or redis
}

// PolicyTools answers questions about a policy, as `authgate policy` does. It is safe for
// concurrent use.
type PolicyTools interface {
	// Explain says why a request is allowed or denied. The error says what is wrong with the
	// question, or is ErrExplain.
	Explain(s *policy.Snapshot, identity policy.Identity, method, target string) (Explanation, error)

	Lint(sources []policy.Source) []Finding

	// Matrix says what each subject may do on each upstream.
	Matrix(s *policy.Snapshot) (Matrix, error)
}

// ErrExplain is an error of [PolicyTools] that is not the fault of the question.
var ErrExplain = errors.New("the policy cannot be explained")

// Status is the state of this process.
type Status struct {
	Version   string
	StartedAt time.Time
	Upstreams []string // in the order of the configuration

	Policy PolicyStatus
	Shadow *PolicyStatus // nil: no policy.shadow

	Issuer       string // URL
	IssuerError  error  // why the last attempt to reach it failed; nil: it did not
	Certificates []CertificateStatus
	Streams      []StreamStatus // that are open, the oldest first
}

// PolicyStatus is a policy that is in force, or only logged.
type PolicyStatus struct {
	*policy.Snapshot
	Sources    []policy.Source
	Generation uint64 // 0: a candidate
	LoadedAt   time.Time
	Rejected   *RejectedReload // the last one since the start; nil: none was
}

// RejectedReload is a changed policy that was not put in force.
type RejectedReload struct {
	At     time.Time
	Faults []string // file:line:column: what is wrong; the first of them
	More   int      // further faults
	Solved bool     // a later change was put in force
}

// CertificateStatus is a certificate that authgate shows.
type CertificateStatus struct {
	Use     string // the port, or an upstream
	Text    string // names, and expiry
	Warning string // why clients refuse it; empty: they do not
}

// StreamStatus is an open stream.
type StreamStatus struct {
	Upstream, Kind, Email, Method, Path, Remote string
	StartedAt                                   time.Time
}

// Explanation is why a request is allowed or denied. The tables have the columns that `authgate
// policy explain` prints.
type Explanation struct {
	Allowed                bool
	Method, Upstream, Path string
	Raw                    string // the path as it was asked for, if the canonical one differs
	Rule, Row              string // which decides; empty: none
	Reason                 string // why, if no row says so
	Policy                 string // hash
	Who                    [][]string
	Rows                   [][]string
	Others                 int // rows that have little in common with the request
	Edits                  [][]string
	Warnings               []string
	JSON                   any // what -o json prints
}

// Finding is what lint found in a policy.
type Finding struct{ Severity, Code, Where, Message, Hint string }

// Matrix says what each subject may do on each upstream.
type Matrix struct {
	Upstreams []string
	Rows      []MatrixRow
}

// MatrixRow is what one subject may do.
type MatrixRow struct {
	Subject string
	Members string   // who holds a role
	Cells   []string // in the order of the upstreams; empty: nothing
}
