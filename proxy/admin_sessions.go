package proxy

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/proxy/respond"
	"github.com/example-org/authgate/session"
)

// adminTimeout bounds how long the session store may take to answer.
const adminTimeout = 10 * time.Second

// AdminSessions lists and ends sessions under /sessions, for whoever sends the
// token, and hands everything else on. Without a token there is no /sessions.
func (p *Proxy) AdminSessions(token string, rest http.Handler) http.Handler {
	if token == "" {
		return rest
	}
	p.SetAdminToken(token)
	a := &sessionsAdmin{p: p}
	mux := http.NewServeMux()
	mux.Handle("/", rest)
	mux.HandleFunc("/sessions", func(w http.ResponseWriter, r *http.Request) { a.serve(w, r, a.sessionsFromQuery) })
	mux.HandleFunc("/sessions/{id}", func(w http.ResponseWriter, r *http.Request) { a.serve(w, r, sessionFromPath) })
	return mux
}

type sessionsAdmin struct {
	p *Proxy
}

// SetAdminToken has the admin port take this token from now on, and no other.
func (p *Proxy) SetAdminToken(token string) {
	digest := sha256.Sum256([]byte(token))
	p.adminToken.Store(&digest)
}

// serve judges the token before it says anything of the request.
func (a *sessionsAdmin) serve(w http.ResponseWriter, r *http.Request, selectFilter func(*http.Request) (session.Filter, *Refusal)) {
	respond.CloseIfUnread(w, r)
	respond.SetHeaders(w.Header())
	if !a.hasToken(r.Header["Authorization"]) {
		a.p.log.Warn("a request to the admin port without its token was refused", "remote", remoteHost(r), "method", r.Method)
		refuseAdmin(w, Refusal{Status: http.StatusUnauthorized, Code: "admin_token", Detail: "Send the token of adminToken as Authorization: Bearer."})
		return
	}
	if !respond.IsRead(r.Method) && r.Method != http.MethodDelete {
		w.Header().Set("Allow", "GET, HEAD, DELETE")
		refuseAdmin(w, Refusal{Status: http.StatusMethodNotAllowed, Code: "method", Detail: "GET lists sessions, DELETE ends them."})
		return
	}
	filter, refusal := selectFilter(r)
	if refusal != nil {
		refuseAdmin(w, *refusal)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), adminTimeout)
	defer cancel()
	if respond.IsRead(r.Method) {
		a.list(ctx, w, filter)
		return
	}
	a.revoke(ctx, w, r, filter)
}

// hasToken compares in a time that tells nothing of the token or of its length.
func (a *sessionsAdmin) hasToken(sent []string) bool {
	if len(sent) != 1 {
		return false
	}
	scheme, token, _ := strings.Cut(sent[0], " ")
	hash, want := sha256.Sum256([]byte(token)), a.p.adminToken.Load()
	return subtle.ConstantTimeCompare(hash[:], want[:]) == 1 && strings.EqualFold(scheme, "Bearer")
}

// sessionFromPath is the one session of the path.
func sessionFromPath(r *http.Request) (session.Filter, *Refusal) {
	if r.URL.RawQuery != "" {
		return session.Filter{}, badSelection("A session is named by its path alone.")
	}
	return session.Filter{ID: r.PathValue("id")}, nil
}

// sessionsFromQuery is what the query selects: one person's sessions, or all. To end all of
// them it has to be written: a variable that is not set must not do it.
func (a *sessionsAdmin) sessionsFromQuery(r *http.Request) (session.Filter, *Refusal) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return session.Filter{}, badSelection("The query cannot be read.")
	}
	for key, values := range query {
		if key != "user" && key != "all" || len(values) != 1 || values[0] == "" {
			return session.Filter{}, badSelection("Write ?user=EMAIL or ?all=true, each once and with a value.")
		}
	}
	user, all := query.Get("user"), query.Get("all")
	switch {
	case user != "" && all != "":
		return session.Filter{}, badSelection("Write ?user=EMAIL or ?all=true, not both.")
	case user != "":
		return session.Filter{Email: user}, nil
	case all == "true", all == "" && respond.IsRead(r.Method):
		return session.Filter{All: true}, nil
	case all != "":
		return session.Filter{}, badSelection("all is true, or not there.")
	default:
		return session.Filter{}, badSelection("Say which sessions: ?user=EMAIL, ?all=true, or /sessions/ID.")
	}
}

func badSelection(detail string) *Refusal {
	return &Refusal{Status: http.StatusBadRequest, Code: "selection", Detail: detail}
}

func (a *sessionsAdmin) list(ctx context.Context, w http.ResponseWriter, filter session.Filter) {
	found, err := a.p.sessions.List(ctx, filter)
	switch {
	case err != nil:
		a.refuseStoreError(w, err)
	case filter.ID != "" && len(found) == 0:
		refuseAdmin(w, unknownSession)
	case filter.ID != "":
		answerAdmin(w, ListSessions(found)[0])
	default:
		answerAdmin(w, SessionList{ListSessions(found)})
	}
}

// revoke writes one record for the call: streams that end with it have their own.
func (a *sessionsAdmin) revoke(ctx context.Context, w http.ResponseWriter, r *http.Request, filter session.Filter) {
	record := audit.Record{
		Time: a.p.now(), Event: audit.Logout, ID: newID(), Remote: remoteHost(r), Host: r.Host, Method: r.Method, Path: r.URL.EscapedPath(),
		Email: filter.Email, Decision: audit.Allow, Reason: "revoked", Status: http.StatusOK,
	}
	ended, err := a.p.sessions.Revoke(ctx, filter)
	everywhere := a.p.config.Session.Store == config.StoreRedis
	switch {
	case err != nil:
		record.Decision, record.Reason, record.Status = audit.Refuse, "session_store_down", a.refuseStoreError(w, err)
	case filter.ID != "" && ended == 0 && everywhere:
		record.Decision, record.Reason, record.Status = audit.Refuse, unknownSession.Code, unknownSession.Status
		refuseAdmin(w, unknownSession)
	default:
		a.p.log.Info("sessions were ended from the admin port", "ended", ended, "all", filter.All, "remote", record.Remote, "id", record.ID)
		answerAdmin(w, revocation(ended, everywhere))
	}
	a.p.audit.Write(record)
}

var unknownSession = Refusal{Status: http.StatusNotFound, Code: "session_unknown", Detail: "There is no such session; it may have ended."}

// Revocation is the answer to ending sessions.
type Revocation struct {
	Revoked int    `json:"revoked"`
	Scope   string `json:"scope"` // everywhere, or this process
	Note    string `json:"note,omitempty"`
}

func revocation(ended int, everywhere bool) Revocation {
	if everywhere {
		return Revocation{Revoked: ended, Scope: "everywhere"}
	}
	return Revocation{
		Revoked: ended, Scope: "this process",
		Note: "session.store is cookie: other replicas, and this one after a restart, do not know of it, and what was not seen lately is not counted; " +
			"to end all sessions everywhere, replace the session keys",
	}
}

// refuseStoreError gives the status, too.
func (a *sessionsAdmin) refuseStoreError(w http.ResponseWriter, err error) int {
	f := Refusal{Status: http.StatusInternalServerError, Code: "session_store", Detail: "The session store failed; the log says how."}
	switch {
	case errors.Is(err, session.ErrNotListable):
		f = Refusal{Status: http.StatusNotImplemented, Code: "sessions_not_listable", Detail: "session.store is cookie: sessions are in the browsers, and nothing lists them."}
	case errors.Is(err, session.ErrStoreDown), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		f = Refusal{Status: http.StatusServiceUnavailable, Code: "session_store_down", Detail: "The session store does not answer: what was asked may not have happened. Ask again."}
		w.Header().Set("Retry-After", "5")
	}
	if f.Status != http.StatusNotImplemented {
		a.p.log.Error("sessions on the admin port", "code", f.Code, "error", err)
	}
	refuseAdmin(w, f)
	return f.Status
}

func answerAdmin(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}

func refuseAdmin(w http.ResponseWriter, f Refusal) {
	respond.WriteProblem(respond.Request{W: w, ID: newID()}, &f)
}

// remoteHost is who connected: no proxy is believed on the admin port.
func remoteHost(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}
