package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/proxy/respond"
	"github.com/example-org/authgate/session"
)

// storeTimeout limits how long the session store may take to answer.
const storeTimeout = 10 * time.Second

// filterReader reads from a request which sessions it selects.
type filterReader func(*http.Request) (session.Filter, *respond.Refusal)

// serveSessions checks access before anything else. A browser gets a page.
func (h *Handler) serveSessions(w http.ResponseWriter, r *http.Request, read filterReader) {
	respond.CloseIfUnread(w, r)
	setPageHeaders(w.Header())
	a, reads := h.access(r), respond.IsRead(r.Method)
	isPage := h.Operator != nil && reads && r.URL.Path == "/sessions" && respond.WantsHTML(r)
	switch {
	case a.granted() && isPage:
		h.showSessions(w, r, a)
		return
	case isPage:
		h.askForToken(w, r, http.StatusUnauthorized, "")
		return
	case !a.granted() || !a.bearer && !reads: // a browser sends its cookie with requests of others, too
		h.refuseToken(w, r)
		return
	case !reads && r.Method != http.MethodDelete:
		w.Header().Set("Allow", "GET, HEAD, DELETE")
		refuse(w, respond.Refusal{Status: http.StatusMethodNotAllowed, Code: "method", Detail: "GET lists sessions, " +
			"DELETE ends them."})
		return
	}
	filter, refusal := read(r)
	if refusal != nil {
		refuse(w, *refusal)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeTimeout)
	defer cancel()
	if reads {
		h.list(ctx, w, filter)
		return
	}
	if ended, refusal := h.revoke(ctx, w, r, filter); refusal != nil {
		refuse(w, *refusal)
	} else {
		answer(w, revocation(ended, h.Shared))
	}
}

// refuseToken refuses a request of a program that has not shown the token.
func (h *Handler) refuseToken(w http.ResponseWriter, r *http.Request) {
	h.Log.Warn("admin request without a valid token rejected", "remote", remoteHost(r), "method", r.Method)
	refuse(w, respond.Refusal{Status: http.StatusUnauthorized, Code: "admin_token", Detail: "Send the token of " +
		"adminToken as Authorization: Bearer."})
}

// filterFromPath selects the one session of the path.
func filterFromPath(r *http.Request) (session.Filter, *respond.Refusal) {
	if r.URL.RawQuery != "" {
		return session.Filter{}, badSelection("Name a session by its path only, without a query.")
	}
	return session.Filter{ID: r.PathValue("id")}, nil
}

// filterFromQuery selects the sessions of one user, or all. To end all of them, all=true is
// required: an unset variable of a script must not end them.
func filterFromQuery(r *http.Request) (session.Filter, *respond.Refusal) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return session.Filter{}, badSelection("The query is malformed.")
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
		return session.Filter{}, badSelection("Write all=true, or leave all out.")
	default:
		return session.Filter{}, badSelection("Say which sessions: ?user=EMAIL, ?all=true, or /sessions/ID.")
	}
}

func badSelection(detail string) *respond.Refusal {
	return &respond.Refusal{Status: http.StatusBadRequest, Code: "selection", Detail: detail}
}

func (h *Handler) list(ctx context.Context, w http.ResponseWriter, filter session.Filter) {
	found, err := h.Sessions.List(ctx, filter)
	switch {
	case err != nil:
		refuse(w, *h.storeRefusal(w, err))
	case filter.ID != "" && len(found) == 0:
		refuse(w, unknownSession)
	case filter.ID != "":
		answer(w, ListSessions(found)[0])
	default:
		answer(w, SessionList{ListSessions(found)})
	}
}

// revoke writes one audit record for the call. Streams that end with it have their own. It
// returns how many sessions ended, or why none may have.
func (h *Handler) revoke(
	ctx context.Context, w http.ResponseWriter, r *http.Request, filter session.Filter,
) (ended int, refusal *respond.Refusal) {
	record := audit.Record{
		Time: h.Now(), Event: audit.Logout, ID: audit.NewID(), Remote: remoteHost(r), Host: r.Host, Method: r.Method,
		Path:  r.URL.EscapedPath(),
		Email: filter.Email, Decision: audit.Allow, Reason: "revoked", Status: http.StatusOK,
	}
	ended, err := h.Sessions.Revoke(ctx, filter)
	switch {
	case err != nil:
		refusal = h.storeRefusal(w, err)
		record.Decision, record.Reason, record.Status = audit.Refuse, "session_store_down", refusal.Status
	case filter.ID != "" && ended == 0 && h.Shared:
		refusal = &unknownSession
		record.Decision, record.Reason, record.Status = audit.Refuse, unknownSession.Code, unknownSession.Status
	default:
		h.Log.Info("sessions revoked on the admin port", "ended", ended, "all", filter.All, "remote", record.Remote, "id",
			record.ID)
	}
	h.Audit.Write(record)
	return ended, refusal
}

var unknownSession = respond.Refusal{Status: http.StatusNotFound, Code: "session_unknown", Detail: "There is no " +
	"such session. It may have ended."}

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
		Note: "session.store is cookie: other replicas do not know of the revocation, nor does this one after a " +
			"restart, and sessions that were not used recently are not counted; " +
			"to end all sessions everywhere, replace the session keys",
	}
}

// storeRefusal logs an error of the session store, and says it without its details.
func (h *Handler) storeRefusal(w http.ResponseWriter, err error) *respond.Refusal {
	f := &respond.Refusal{Status: http.StatusInternalServerError, Code: "session_store", Detail: "The session store " +
		"failed. The log has the reason."}
	switch {
	case errors.Is(err, session.ErrNotListable):
		f = &respond.Refusal{Status: http.StatusNotImplemented, Code: "sessions_not_listable", Detail: "session.store " +
			"is cookie: sessions are in the browsers and cannot be listed."}
	case errors.Is(err, session.ErrStoreDown), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		f = &respond.Refusal{Status: http.StatusServiceUnavailable, Code: "session_store_down", Detail: "The session " +
			"store is not responding, so the request may have had no effect. Try again."}
		w.Header().Set("Retry-After", "5")
	}
	if f.Status != http.StatusNotImplemented {
		h.Log.Error("session request on the admin port failed", "code", f.Code, "error", err)
	}
	return f
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}

func refuse(w http.ResponseWriter, f respond.Refusal) {
	respond.WriteProblem(respond.Request{W: w, ID: audit.NewID()}, &f)
}

// remoteHost is the address of the client: the admin port trusts no proxy.
func remoteHost(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}
