package proxy

import (
	"net/http"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/target"
)

// awaitAuditRoom holds a request back while its record would find no room, and turns
// it away if that lasts. It does so with audit.onFull: block only.
func (p *Proxy) awaitAuditRoom(x *exchange) bool {
	if p.auditQueue == nil || p.auditQueue.Await(x.r.Context()) {
		return true
	}
	x.unrecorded = true
	return x.refuse(http.StatusServiceUnavailable, "audit_full",
		"Requests cannot be recorded right now, so none are served. Try again in a moment.", nil)
}

// excludedFromAudit reports whether a request gets no record. Whatever was denied, refused
// or led to a login has one, also under a path of audit.exclude.
func (p *Proxy) excludedFromAudit(x *exchange) bool {
	if x.unrecorded {
		return true
	}
	if x.outcome != audit.Allow || x.event != audit.Request {
		return false
	}
	for _, pattern := range p.config.Audit.Exclude {
		if target.MatchPattern(x.path.String(), pattern) {
			return true
		}
	}
	return false
}
