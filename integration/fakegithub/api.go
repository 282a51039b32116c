package fakegithub

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// pageSize is GitHub's default for lists.
const pageSize = 30

// api lets a call through to h with the account whose token it carries.
func (s *Server) api(h func(http.ResponseWriter, *http.Request, Account)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch s.apiState() {
		case RateLimited:
			w.Header().Set("X-RateLimit-Limit", "5000")
			w.Header().Set("X-RateLimit-Remaining", "0")
			message(w, http.StatusForbidden, "API rate limit exceeded")
			return
		case Outage:
			message(w, http.StatusServiceUnavailable, "No server is currently available to service your request.")
			return
		case Healthy:
		}
		login, ok := s.logins.look(s.logins.tokens, token(r))
		if !ok {
			message(w, http.StatusUnauthorized, "Bad credentials")
			return
		}
		a, ok := s.directory.find(login)
		if !ok {
			message(w, http.StatusUnauthorized, "Bad credentials")
			return
		}
		h(w, r, a)
	}
}

// token takes both words that GitHub takes before the token.
func token(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "bearer") || strings.EqualFold(scheme, "token") {
		return token
	}
	return ""
}

func (s *Server) user(w http.ResponseWriter, _ *http.Request, a Account) {
	answer(w, map[string]any{
		"id": a.ID, "login": a.Login, "name": a.Name, "type": "User",
		"email": nil, // private: the caller has to ask /user/emails
	})
}

func (s *Server) userEmails(w http.ResponseWriter, r *http.Request, a Account) {
	list(s, w, r, []map[string]any{
		{"email": a.Login + "@users.noreply.example.com", "primary": false, "verified": true, "visibility": nil},
		{"email": a.Email, "primary": true, "verified": true, "visibility": "private"},
	})
}

func (s *Server) userOrgs(w http.ResponseWriter, r *http.Request, a Account) {
	orgs := []map[string]any{}
	for i, org := range a.Orgs {
		orgs = append(orgs, map[string]any{"id": i + 1, "login": org})
	}
	list(s, w, r, orgs)
}

func (s *Server) userTeams(w http.ResponseWriter, r *http.Request, a Account) {
	teams := []map[string]any{}
	for i, t := range a.Teams {
		teams = append(teams, map[string]any{
			"id": i + 1, "name": t.Name, "slug": t.Slug,
			"organization": map[string]any{"login": t.Org},
		})
	}
	list(s, w, r, teams)
}

// orgMember answers 204 or 404: the one question of the API without a body.
func (s *Server) orgMember(w http.ResponseWriter, r *http.Request, _ Account) {
	of, ok := s.directory.find(r.PathValue("login"))
	isOrg := func(org string) bool { return strings.EqualFold(org, r.PathValue("org")) }
	if !ok || !slices.ContainsFunc(of.Orgs, isOrg) {
		message(w, http.StatusNotFound, "Not Found")
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// list writes one page of items, and in Link where the next and the last one
// are, as GitHub does: no Link at all where one page holds everything.
func list[T any](s *Server, w http.ResponseWriter, r *http.Request, items []T) {
	number, err := strconv.Atoi(r.URL.Query().Get("page"))
	if err != nil || number < 1 {
		number = 1
	}
	last := max(1, (len(items)+pageSize-1)/pageSize)
	at := func(n int, rel string) string {
		return fmt.Sprintf("<%s%s?page=%d>; rel=%q", s.URL(), r.URL.Path, n, rel)
	}
	var links []string
	if number > 1 {
		links = append(links, at(1, "first"), at(number-1, "prev"))
	}
	if number < last {
		links = append(links, at(number+1, "next"), at(last, "last"))
	}
	if len(links) > 0 {
		w.Header().Set("Link", strings.Join(links, ", "))
	}
	from := min((number-1)*pageSize, len(items))
	answer(w, items[from:min(from+pageSize, len(items))])
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(body)
}

func message(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": text})
}
