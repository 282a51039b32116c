package admin

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/proxy/respond"
)

// refusalsPage shows the last refusals and failed logins.
type refusalsPage struct {
	frame

	User, Upstream, Reason, ID string // what was asked for
	Upstreams, Reasons         []string
	Refusals                   []audit.Entry
	Limit                      int
}

// refusalList is the same for programs.
type refusalList struct {
	Refusals []audit.Entry `json:"refusals"` // the newest first
}

// showRefusals shows the last refusals, filtered by ?user=, ?upstream=, ?reason= and ?id=.
// An empty value filters nothing: that is what a form sends.
func (h *Handler) showRefusals(w http.ResponseWriter, r *http.Request, a access) {
	filter, err := url.ParseQuery(r.URL.RawQuery)
	if err == nil {
		err = onlyOnce(filter, "user", "upstream", "reason", "id")
	}
	if err != nil {
		refuse(w, respond.Refusal{Status: http.StatusBadRequest, Code: "selection", Detail: "Write ?user=EMAIL, " +
			"?upstream=NAME, ?reason=CODE or ?id=ID, each at most once."})
		return
	}
	all := h.Operator.Recent.Refusals()
	page := refusalsPage{
		frame: frame{Title: "Refusals", Page: "/refusals", CSRF: a.csrf()},
		User:  strings.TrimSpace(filter.Get("user")), Upstream: filter.Get("upstream"), Reason: filter.Get("reason"),
		ID: strings.TrimSpace(filter.Get("id")), Upstreams: h.Operator.Status().Upstreams, Refusals: []audit.Entry{},
		Limit: audit.RecentSize,
	}
	for _, one := range all {
		page.Reasons = append(page.Reasons, one.Reason)
		if page.matches(one) && len(page.Refusals) < audit.RecentSize {
			page.Refusals = append(page.Refusals, one)
		}
	}
	page.Reasons = options(page.Reasons, page.Reason)
	page.Upstreams = options(page.Upstreams, page.Upstream)
	if wantsJSON(r) {
		answer(w, refusalList{page.Refusals})
		return
	}
	h.writePage(w, http.StatusOK, "refusals.html", page)
}

func (p *refusalsPage) matches(e audit.Entry) bool {
	return (p.User == "" || strings.EqualFold(p.User, e.Email)) && (p.Upstream == "" || p.Upstream == e.Upstream) &&
		(p.Reason == "" || p.Reason == e.Reason) && (p.ID == "" || p.ID == e.ID)
}

// options are the choices of a field: each once, and the present one in any case.
func options(values []string, selected string) []string {
	all := append(slices.Clone(values), selected)
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(s string) bool { return s == "" })
}
