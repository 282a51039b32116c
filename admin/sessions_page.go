package admin

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/example-org/authgate/proxy/respond"
	"github.com/example-org/authgate/session"
)

// sessionsPage lists sessions, each with a button that ends it.
type sessionsPage struct {
	frame

	User     string // whose are listed; empty: all
	Sessions []ListedSession
	More     int
	Shared   bool // all replicas share the session store
	Problem  string
	Revoked  int // that were just ended; -1: none were
}

// maxSessions is how many sessions the page lists.
const maxSessions = 500

// showSessions lists sessions: all, or those of ?user=EMAIL.
func (h *Handler) showSessions(w http.ResponseWriter, r *http.Request, a access) {
	page := sessionsPage{frame: frame{Title: "Sessions", Page: "/sessions", CSRF: a.csrf()}, Shared: h.Shared, Revoked: -1}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err == nil {
		err = onlyOnce(query, "user", "revoked", "all")
	}
	if err != nil {
		page.Problem = "The address names no sessions: write ?user=EMAIL. " + sentence(err.Error())
		h.writePage(w, http.StatusBadRequest, "sessions.html", page)
		return
	}
	page.User = strings.TrimSpace(query.Get("user"))
	if n, err := strconv.Atoi(query.Get("revoked")); err == nil && n >= 0 {
		page.Revoked = n
	}
	status := http.StatusOK
	if h.Shared {
		status = h.listOnPage(r.Context(), w, &page)
	}
	h.writePage(w, status, "sessions.html", page)
}

func (h *Handler) listOnPage(ctx context.Context, w http.ResponseWriter, page *sessionsPage) (status int) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	found, err := h.Sessions.List(ctx, session.Filter{Email: page.User, All: page.User == ""})
	if err != nil {
		refusal := h.storeRefusal(w, err)
		page.Problem = refusal.Detail
		return refusal.Status
	}
	page.Sessions = ListSessions(found)
	if n := len(page.Sessions); n > maxSessions {
		page.Sessions, page.More = page.Sessions[:maxSessions], n-maxSessions
	}
	return http.StatusOK
}

// serveRevoke ends sessions: one, those of a user, or all. A browser must send the value of its
// login's forms.
func (h *Handler) serveRevoke(w http.ResponseWriter, r *http.Request) {
	setPageHeaders(w.Header())
	isForm := readForm(w, r)
	a := h.access(r)
	switch {
	case !a.granted() && respond.WantsHTML(r):
		h.askForToken(w, r, http.StatusUnauthorized, "")
	case !a.granted():
		h.refuseToken(w, r)
	case !a.mayChange(r):
		h.refuseForm(w, r, forgedForm, "/sessions")
	default:
		h.revokeSelected(w, r, isForm)
	}
}

func (h *Handler) revokeSelected(w http.ResponseWriter, r *http.Request, isForm bool) {
	filter, err := revocationFilter(r, isForm)
	if err != nil {
		h.refuseForm(w, r, *badSelection(sentence(err.Error())), "/sessions")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeTimeout)
	defer cancel()
	ended, refusal := h.revoke(ctx, w, r, filter)
	switch {
	case refusal != nil:
		h.refuseForm(w, r, *refusal, "/sessions")
	case respond.WantsHTML(r):
		redirect(w, "/sessions?revoked="+strconv.Itoa(ended))
	default:
		answer(w, revocation(ended, h.Shared))
	}
}

// revocationFilter reads which sessions a form, or a query, names: exactly one of id, user and
// all=true. An empty value names none: an unset variable of a script must not end all sessions.
func revocationFilter(r *http.Request, isForm bool) (session.Filter, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return session.Filter{}, errors.New("the query of the address is malformed")
	}
	if isForm {
		for key, sent := range r.PostForm {
			if key != "csrf" {
				values[key] = append(values[key], sent...)
			}
		}
	}
	if err := onlyOnce(values, "id", "user", "all"); err != nil {
		return session.Filter{}, err
	}
	id, user, all := values.Get("id"), strings.TrimSpace(values.Get("user")), values.Get("all")
	switch {
	case len(values) != 1 || all != "" && all != "true" || id == "" && user == "" && all == "":
		return session.Filter{}, errors.New("say which sessions: one of id=ID, user=EMAIL and all=true")
	default:
		return session.Filter{ID: id, Email: user, All: all == "true"}, nil
	}
}
