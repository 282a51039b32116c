package fakegithub

import (
	"crypto/rand"
	"crypto/subtle"
	_ "embed"
	"encoding/json"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"sync"
)

// sessionCookie remembers the browser's account, so that the second dashboard's
// login passes through without a question, as it does at GitHub.
const sessionCookie = "fake_github_session"

//go:embed pages.html
var pagesHTML string

var pages = template.Must(template.New("").Parse(pagesHTML))

// logins holds what was handed out: sessions, codes and tokens, each naming a login.
type logins struct {
	mu       sync.Mutex
	sessions map[string]string
	codes    map[string]string
	tokens   map[string]string
	issued   []string // all of them, those that were used up or revoked too
}

func newLogins() *logins {
	return &logins{sessions: map[string]string{}, codes: map[string]string{}, tokens: map[string]string{}}
}

// issue stores a fresh random word for login in one of the maps.
func (l *logins) issue(in map[string]string, prefix, login string) string {
	word := prefix + rand.Text()
	l.mu.Lock()
	defer l.mu.Unlock()
	in[word] = login
	l.issued = append(l.issued, word)
	return word
}

// Secrets are all sessions, codes and tokens that were ever handed out.
func (s *Server) Secrets() []string {
	s.logins.mu.Lock()
	defer s.logins.mu.Unlock()
	return slices.Clone(s.logins.issued)
}

func (l *logins) look(in map[string]string, word string) (login string, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	login, ok = in[word]
	return login, ok
}

func (l *logins) take(in map[string]string, word string) (login string, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	login, ok = in[word]
	delete(in, word)
	return login, ok
}

// Revoke ends every token of a user: what GitHub does when a user takes
// back the grant of the OAuth app.
func (s *Server) Revoke(login string) {
	s.logins.mu.Lock()
	defer s.logins.mu.Unlock()
	for token, of := range s.logins.tokens {
		if of == login {
			delete(s.logins.tokens, token)
		}
	}
}

// signedIn is the account that the browser's session names, or "".
func (s *Server) signedIn(r *http.Request) string {
	c, err := r.Cookie(sessionCookie)
	if err != nil {
		return ""
	}
	login, _ := s.logins.look(s.logins.sessions, c.Value)
	return login
}

func (s *Server) startSession(w http.ResponseWriter, login string) {
	http.SetCookie(w, &http.Cookie{
		Name: sessionCookie, Value: s.logins.issue(s.logins.sessions, "", login),
		Path: "/", HttpOnly: true, Secure: true, SameSite: http.SameSiteLaxMode,
	})
}

type page struct {
	Login    string // who is signed in, or ""
	Accounts []Account
	Query    string // of the authorize request, handed through the form
}

func (s *Server) render(w http.ResponseWriter, name string, p page) {
	p.Accounts = s.directory.all()
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_ = pages.ExecuteTemplate(w, name, p) // the browser has closed the connection
}

func (s *Server) home(w http.ResponseWriter, r *http.Request) {
	s.render(w, "home", page{Login: s.signedIn(r)})
}

func (s *Server) signIn(w http.ResponseWriter, r *http.Request) {
	login := r.PostFormValue("login")
	if _, ok := s.directory.find(login); !ok {
		http.Error(w, "no such account", http.StatusUnprocessableEntity)
		return
	}
	s.startSession(w, login)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (s *Server) signOut(w http.ResponseWriter, r *http.Request) {
	if c, err := r.Cookie(sessionCookie); err == nil {
		s.logins.take(s.logins.sessions, c.Value)
	}
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Path: "/", MaxAge: -1, HttpOnly: true, Secure: true})
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// authorize asks who is there, or passes through silently for a user who is
// signed in. A test may name the account in the query: `login=alice`.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if !s.known(w, q) {
		return
	}
	if login := q.Get("login"); login != "" {
		s.grant(w, r, q, login)
		return
	}
	if login := s.signedIn(r); login != "" {
		s.grant(w, r, q, login)
		return
	}
	s.render(w, "authorize", page{Query: r.URL.RawQuery})
}

// chooseAndAuthorize takes the button that was pressed on the page.
func (s *Server) chooseAndAuthorize(w http.ResponseWriter, r *http.Request) {
	q, err := url.ParseQuery(r.PostFormValue("query"))
	if err != nil {
		http.Error(w, "the form's query does not parse", http.StatusBadRequest)
		return
	}
	if !s.known(w, q) {
		return
	}
	if r.PostForm.Has("cancel") {
		s.sendBack(w, r, q, url.Values{
			"error":             {"access_denied"},
			"error_description": {"The user has denied your application access."},
		})
		return
	}
	s.grant(w, r, q, r.PostFormValue("login"))
}

// known refuses an unregistered app; there is nowhere to redirect to.
func (s *Server) known(w http.ResponseWriter, q url.Values) bool {
	if q.Get("client_id") != s.app.ClientID {
		http.Error(w, "no OAuth app has this client_id", http.StatusNotFound)
		return false
	}
	if to := q.Get("redirect_uri"); to != "" && to != s.app.Callback {
		http.Error(w, "the redirect_uri is not associated with this application", http.StatusBadRequest)
		return false
	}
	return true
}

func (s *Server) grant(w http.ResponseWriter, r *http.Request, q url.Values, login string) {
	if _, ok := s.directory.find(login); !ok {
		http.Error(w, "no such account", http.StatusUnprocessableEntity)
		return
	}
	s.startSession(w, login)
	s.sendBack(w, r, q, url.Values{"code": {s.logins.issue(s.logins.codes, "", login)}})
}

func (s *Server) sendBack(w http.ResponseWriter, r *http.Request, q, with url.Values) {
	with.Set("state", q.Get("state"))
	http.Redirect(w, r, s.app.Callback+"?"+with.Encode(), http.StatusFound)
}

// accessToken trades a code for a token. GitHub reports faults of this endpoint
// with status 200, and speaks JSON only if asked to.
func (s *Server) accessToken(w http.ResponseWriter, r *http.Request) {
	id, secret, basic := r.BasicAuth()
	if !basic {
		id, secret = r.PostFormValue("client_id"), r.PostFormValue("client_secret")
	}
	answer := map[string]string{}
	switch {
	case id != s.app.ClientID || subtle.ConstantTimeCompare([]byte(secret), []byte(s.app.ClientSecret)) != 1:
		answer["error"] = "incorrect_client_credentials"
	default:
		login, ok := s.logins.take(s.logins.codes, r.PostFormValue("code"))
		if !ok {
			answer["error"] = "bad_verification_code"
			break
		}
		answer["access_token"] = s.logins.issue(s.logins.tokens, "gho_", login)
		answer["token_type"] = "bearer"
		answer["scope"] = "read:org,user:email"
	}

	w.Header().Set("Cache-Control", "no-store")
	if r.Header.Get("Accept") == "application/json" {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_ = json.NewEncoder(w).Encode(answer)
		return
	}
	form := url.Values{}
	for k, v := range answer {
		form.Set(k, v)
	}
	w.Header().Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	_, _ = w.Write([]byte(form.Encode()))
}
