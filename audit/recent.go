package audit

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// RecentSize is how many records of a kind [Recent] keeps.
const RecentSize = 200

// Recent keeps the last refusals and failed logins in memory, and the last requests that the
// shadow policy would have decided differently. Its size is fixed: long values are cut. It is
// safe for concurrent use, takes no lock, and costs an allowed request two comparisons.
//
// Refusals of users have room of their own, so that a scanner, which sends thousands of requests
// without a login, does not push them out.
type Recent struct {
	count       atomic.Uint64
	users       ring
	strangers   ring
	differences ring
}

// Entry is what is kept of a record: nothing of the user besides the e-mail address.
type Entry struct {
	Time     time.Time `json:"time"`
	Event    Event     `json:"event"`
	ID       string    `json:"id"`
	Remote   string    `json:"remote"`
	Host     string    `json:"host"`
	Method   string    `json:"method"`
	Path     string    `json:"path"`
	Upstream string    `json:"upstream"`
	Email    string    `json:"email"`
	Decision Decision  `json:"decision"`
	Reason   string    `json:"reason"`
	Rule     string    `json:"rule"`
	Status   int       `json:"status"`
	Shadow   string    `json:"shadow,omitempty"`

	number uint64 // counts entries, for their order
}

// ring has the last entries. A newer one replaces the oldest.
type ring struct {
	added atomic.Uint64
	slots [RecentSize]atomic.Pointer[Entry]
}

func (r *ring) add(e *Entry) { r.slots[(r.added.Add(1)-1)%RecentSize].Store(e) }

func (r *ring) appendTo(all []Entry) []Entry {
	for i := range r.slots {
		if e := r.slots[i].Load(); e != nil {
			all = append(all, *e)
		}
	}
	return all
}

// Refusals gives the refusals and failed logins that are kept, the newest first.
func (k *Recent) Refusals() []Entry {
	return newestFirst(k.strangers.appendTo(k.users.appendTo(nil)))
}

// Differences gives the requests that the shadow policy would have decided differently, the
// newest first.
func (k *Recent) Differences() []Entry { return newestFirst(k.differences.appendTo(nil)) }

func newestFirst(all []Entry) []Entry {
	slices.SortFunc(all, func(a, b Entry) int { return cmp.Compare(b.number, a.number) })
	return all
}

// add keeps a record that is worth it.
func (k *Recent) add(r *Record) {
	if differs(r) {
		k.differences.add(k.newEntry(r))
	}
	switch {
	case !isRefusal(r):
	case r.Subject != "" || r.Email != "":
		k.users.add(k.newEntry(r))
	default:
		k.strangers.add(k.newEntry(r))
	}
}

// isRefusal reports whether a request was not served. A redirect to the login is no refusal; a
// script that gets 401 instead has been refused.
func isRefusal(r *Record) bool {
	switch r.Decision {
	case Allow:
		return r.Event == LoginFailed
	case LoginRequired:
		return r.Status == http.StatusUnauthorized
	}
	return r.Event != Policy
}

// differs reports whether the shadow policy decided a request differently. A request that was
// refused for another reason than the policy is no difference.
func differs(r *Record) bool {
	return r.Shadow != "" && r.Decision != Refuse && (r.Shadow == string(Allow)) != (r.Decision == Allow)
}

// Limits of what an entry keeps, in bytes.
const (
	maxPath  = 512
	maxValue = 256
)

func (k *Recent) newEntry(r *Record) *Entry {
	return &Entry{
		Time: r.Time.UTC(), Event: r.Event, ID: clip(r.ID, maxValue), Remote: clip(r.Remote, maxValue),
		Host: clip(r.Host, maxValue), Method: clip(r.Method, maxValue), Path: clip(r.Path, maxPath),
		Upstream: clip(r.Upstream, maxValue), Email: clip(r.Email, maxValue), Decision: r.Decision,
		Reason: clip(r.Reason, maxValue), Rule: clip(r.Rule, maxValue), Status: r.Status, Shadow: clip(r.Shadow, maxValue),
		number: k.count.Add(1),
	}
}

// clip copies a value, so that an entry does not keep the whole request in memory.
func clip(s string, limit int) string {
	if len(s) <= limit {
		return strings.Clone(s)
	}
	return strings.ToValidUTF8(s[:limit], "") + "…"
}
