package fakegithub

import (
	"fmt"
	"slices"
	"sync"
)

// Account is a user at GitHub.
type Account struct {
	ID    int
	Login string
	Name  string
	Email string // private, as GitHub's default is: only /user/emails shows it
	Orgs  []string
	Teams []Team
}

// Team is a team of an organisation. Dex makes the group `org:slug` of it.
type Team struct{ Org, Name, Slug string }

func (t Team) String() string { return t.Org + ":" + t.Slug }

// APIState is how the API treats all requests.
type APIState int

const (
	Healthy     APIState = iota
	RateLimited          // 403 with the headers of GitHub's primary rate limit
	Outage               // 503 on every API call
)

// directory is who exists and who belongs where.
type directory struct {
	mu       sync.Mutex
	accounts map[string]*Account // :: login → account
	order    []string            // logins, in the order of the page
	apiState APIState
}

func newDirectory(accounts []Account) *directory {
	d := &directory{accounts: map[string]*Account{}}
	for _, a := range accounts {
		a.Orgs, a.Teams = slices.Clone(a.Orgs), slices.Clone(a.Teams)
		d.accounts[a.Login] = &a
		d.order = append(d.order, a.Login)
	}
	return d
}

// find returns a copy, so that an answer is made of one moment's facts.
func (d *directory) find(login string) (Account, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	a, ok := d.accounts[login]
	if !ok {
		return Account{}, false
	}
	c := *a
	c.Orgs, c.Teams = slices.Clone(a.Orgs), slices.Clone(a.Teams)
	return c, true
}

func (d *directory) all() []Account {
	var accounts []Account
	for _, login := range d.order {
		a, _ := d.find(login)
		accounts = append(accounts, a)
	}
	return accounts
}

// Join puts a user into a team, and into its organisation.
func (s *Server) Join(login string, t Team) error {
	return s.change(login, func(a *Account) {
		if !slices.Contains(a.Orgs, t.Org) {
			a.Orgs = append(a.Orgs, t.Org)
		}
		a.Teams = append(a.Teams, t)
	})
}

// Leave takes a user out of a team, not out of its organisation.
func (s *Server) Leave(login, org, slug string) error {
	return s.change(login, func(a *Account) {
		a.Teams = slices.DeleteFunc(a.Teams, func(t Team) bool { return t.Org == org && t.Slug == slug })
	})
}

// LeaveOrg takes a user out of an organisation and all of its teams.
func (s *Server) LeaveOrg(login, org string) error {
	return s.change(login, func(a *Account) {
		a.Orgs = slices.DeleteFunc(a.Orgs, func(o string) bool { return o == org })
		a.Teams = slices.DeleteFunc(a.Teams, func(t Team) bool { return t.Org == org })
	})
}

// SetAPIState changes what every API call meets from now on.
func (s *Server) SetAPIState(w APIState) {
	s.directory.mu.Lock()
	defer s.directory.mu.Unlock()
	s.directory.apiState = w
}

func (s *Server) apiState() APIState {
	s.directory.mu.Lock()
	defer s.directory.mu.Unlock()
	return s.directory.apiState
}

func (s *Server) change(login string, edit func(*Account)) error {
	s.directory.mu.Lock()
	defer s.directory.mu.Unlock()
	a, ok := s.directory.accounts[login]
	if !ok {
		return fmt.Errorf("fake GitHub has no account %q", login)
	}
	edit(a)
	return nil
}
