package server

import (
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/example-org/authgate/admin"
	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/proxy"
)

// operatorView gathers what the operator pages show. It is safe for concurrent use.
type operatorView struct {
	deps         *Deps
	version      string
	startedAt    time.Time
	issuer       *identity.RelyingParty
	reverseProxy *proxy.Proxy
	enabled      bool // the admin port has operator pages

	mu             sync.Mutex
	policy, shadow policyHistory
}

// policyHistory is what became of the files of a policy.
type policyHistory struct {
	sources  []policy.Source // of the policy that was loaded last
	rejected *admin.RejectedReload
}

// newOperator returns what the admin port shows to operators; nil: it shows them nothing.
func (v *operatorView) newOperator(tools admin.PolicyTools, records *audit.Writer) *admin.Operator {
	if v.deps.adminToken == "" || tools == nil {
		return nil
	}
	v.enabled = true
	records.Recent = new(audit.Recent)
	v.policy.sources, v.shadow.sources = v.deps.Sources, v.deps.shadowSources
	return &admin.Operator{
		Status: v.status, Tools: tools, Recent: records.Recent, Store: string(v.deps.Config.Session.Store),
	}
}

// accepted notes that changed files were put to use.
func (v *operatorView) accepted(of *policyHistory, sources []policy.Source) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.enabled {
		of.sources = sources
	}
	if of.rejected != nil {
		solved := *of.rejected
		solved.Solved = true
		of.rejected = &solved
	}
}

// rejected notes why changed files were not put to use.
func (v *operatorView) rejected(of *policyHistory, cause error) {
	const maxFaults = 50
	r := &admin.RejectedReload{At: time.Now()}
	var faults fault.Faults
	if errors.As(cause, &faults) {
		for _, f := range faults[:min(len(faults), maxFaults)] {
			r.Faults = append(r.Faults, f.Error())
		}
		r.More = len(faults) - len(r.Faults)
	} else {
		r.Faults = strings.Split(cause.Error(), "\n")
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	of.rejected = r
}

// status is the state right now.
func (v *operatorView) status() admin.Status {
	c := v.deps.Config
	s := admin.Status{
		Version: v.version, StartedAt: v.startedAt, Upstreams: c.UpstreamNames(),
		Issuer: c.Issuer.URL, IssuerError: v.issuerError(), Certificates: v.certificates(),
	}
	current, shadow := v.reverseProxy.Policies()
	v.mu.Lock()
	s.Policy = v.policy.status(current)
	if shadow != nil {
		candidate := v.shadow.status(*shadow)
		s.Shadow = &candidate
	}
	v.mu.Unlock()
	for _, open := range v.reverseProxy.OpenStreams() {
		s.Streams = append(s.Streams, admin.StreamStatus{
			Upstream: open.Upstream, Kind: open.Kind.String(), Email: open.Email, Method: open.Method, Path: open.Path,
			Remote: open.Addr.String(), StartedAt: open.StartedAt,
		})
	}
	return s
}

// issuerError also tells that the issuer has not been asked yet.
func (v *operatorView) issuerError() error {
	if err := v.issuer.Failure(); err != nil {
		return err
	}
	return v.issuer.Ready()
}

func (h *policyHistory) status(p proxy.PolicyInForce) admin.PolicyStatus {
	return admin.PolicyStatus{
		Snapshot: p.Snapshot, Sources: h.sources, Generation: p.Generation, LoadedAt: p.LoadedAt, Rejected: h.rejected,
	}
}

// certificates are those that authgate itself shows.
func (v *operatorView) certificates() []admin.CertificateStatus {
	var all []admin.CertificateStatus
	add := func(use string, c *Certificate) {
		if c != nil {
			all = append(all, admin.CertificateStatus{Use: use, Text: c.String(), Warning: c.Warning(time.Now())})
		}
	}
	add("port "+v.deps.Config.Listen, v.deps.TLS)
	for _, u := range v.deps.Config.Upstreams {
		add("client certificate for "+u.Name, v.deps.ClientCerts[u.Name])
	}
	return all
}
