package page

import (
	"html/template"
	"time"
)

// Base is what all pages have. [Set.Render] fills it in.
type Base struct {
	ID     string // finds the record in the audit and the log; the user quotes it
	Portal string // URL of the portal; empty: the user is not signed in
}

// Heading is what the top of a page needs.
type Heading struct {
	Base
	Title template.HTML
	Stop  bool // the page is about something that was refused or that failed
	Retry int  // seconds after which the browser loads the page again; 0: it does not
}

// Top is the heading of a page, for {{template "head" (.Top TITLE)}}.
func (b Base) Top(title template.HTML) Heading { return Heading{Base: b, Title: title} }

// StopTop is Top for a page about something that was refused or that failed.
func (b Base) StopTop(title template.HTML) Heading { return Heading{Base: b, Title: title, Stop: true} }

// Reload is the heading of a page that the browser loads again after some seconds; 0: it does not.
func (h Heading) Reload(seconds int) Heading {
	h.Retry = seconds
	return h
}

// Link is a link with the key of its text.
type Link struct {
	Text Text
	URL  string
}

// Texts of links and messages that other packages choose.
const (
	TextStartAgain  Text = "link.start_again"
	TextTryAgain    Text = "link.try_again"
	TextSignIn      Text = "link.sign_in"
	TextSignInAgain Text = "link.sign_in_again"
	TextSignOutHere Text = "link.sign_out_here"
	TextReturn      Text = "link.return"
	TextPortal      Text = "layout.portal"

	TextSigningIn       Text = "wait.signing_in"
	TextSigningOut      Text = "wait.signing_out"
	TextCheckingSession Text = "wait.checking_session"
	TextSignedIn        Text = "wait.signed_in"
	TextIssuerSignOut   Text = "wait.issuer_sign_out"
	TextShortened       Text = "wait.shortened"
)

// Problem shows an error. The texts of its code are problem.CODE.title, .what and .next.
type Problem struct {
	Base
	Status   int
	Code     string
	Detail   string // in English, with all particulars
	Upstream string // its title; empty: the problem is not one of an upstream
	Until    string // when a session ends that could not be revoked
	Next     Link   // what the user can do now; empty: nothing
	Retry    int    // seconds after which the page loads itself again; 0: it does not
}

// Denied tells a signed-in user that the policy denies the request, and who is admitted.
type Denied struct {
	Base
	User         string   // e-mail, or name, or subject
	Groups       []string // as the issuer sent them
	Roles        []string // of the policy
	Overage      bool     // the issuer sent none because there are too many
	ShowAdmitted bool     // the page names groups that are admitted
	Admitted     []string // groups that are admitted, the first of them
	AdmittedMore int      // number of further groups that are admitted
	Rule         string   // file:line of the row that denied; empty where no row allows
	Action       Text     // what the request would have done; empty: not known
	Product      string   // the dashboard, in the text of the action
	Upstream     string
	Method       string
	Path         string
	Request      string // URL that asks for access; empty: none is configured
	Refresh      string // URL to post to, which reads the groups again; empty: they are those of a token
	ReturnTo     string // path to return to from there
	SignOut      string // URL
	SwitchUser   string // URL of a login as another user
	Back         string // URL of the page before; empty: not known
}

// SignIn asks a user to sign in.
type SignIn struct {
	Base
	Issuer string // its name
	Action string // URL at which the login begins
}

// SignOut asks whether to end the session.
type SignOut struct {
	Base
	User      string // empty: unknown, the session cannot be looked up
	Action    string // URL to post to
	ReturnTo  string
	IssuerToo bool // the issuer's own session also ends
	All       bool // all sessions of the user end, in other browsers too
}

// SignedOut tells that the session has ended, and which other sessions have not.
type SignedOut struct {
	Base
	SignIn     Link
	SwitchUser string // URL of a login as another user
	IssuerToo  bool

	Hosts         []HostSession // at which the browser may have had a session; empty: this one only
	Return        Link          // where the user was; empty: not known
	IssuerSignOut string        // URL at which the issuer ends its own session; the page opens it. Empty: none
}

// HostSession is the result of a sign-out at one host.
type HostSession struct {
	Host  string
	State Text
}

// Portal shows who the user is, and the upstreams that they may open.
type Portal struct {
	Base
	User    string
	Groups  []string
	Overage bool     // the issuer sent none because there are too many
	Session *Session // nil: there is a bearer token and no session
	Tiles   []Tile
	SignOut string // URL
}

// Session is what a user may want to know of the session.
type Session struct {
	Now          time.Time
	Created      time.Time
	Expires      time.Time
	GroupsReadAt time.Time
	IdleTimeout  time.Duration // 0: none
	Stale        bool          // the groups could not be read again since
	Refresh      string        // URL to post to, which reads the groups again
	EndAll       string        // URL at which all sessions of the user end; empty: they are listed nowhere
}

// Tile is one upstream of the portal.
type Tile struct {
	Title, Description string
	URL                string
	Icon               template.URL // a data: URL, see package imagefile; empty: none
	Roles              []string     // of the user there
	Maintenance        string       // why it is closed; empty: it is not
}

// Interstitial opens another address without a redirect. To the browser the next request
// then comes from this site, and not from the site that sent the browser here.
type Interstitial struct {
	Base
	Link                 // the address, and why
	Confirm         bool // the user follows the link after reading the page; false: the page opens it
	KeepFragment    bool // a script stores the fragment of this page's address
	RestoreFragment bool // a script appends the stored fragment
	Nonce           string
}

// Scripted reports whether the page has a script.
func (o Interstitial) Scripted() bool { return o.KeepFragment || o.RestoreFragment }

// Template implements [Page].
func (Problem) Template() string      { return "problem.html" }
func (Denied) Template() string       { return "denied.html" }
func (SignIn) Template() string       { return "signin.html" }
func (SignOut) Template() string      { return "signout.html" }
func (SignedOut) Template() string    { return "signedout.html" }
func (Portal) Template() string       { return "portal.html" }
func (Interstitial) Template() string { return "interstitial.html" }

// WithBase implements [Page].
func (p Problem) WithBase(b Base) any      { p.Base = b; return p }
func (p Denied) WithBase(b Base) any       { p.Base = b; return p }
func (p SignIn) WithBase(b Base) any       { p.Base = b; return p }
func (p SignOut) WithBase(b Base) any      { p.Base = b; return p }
func (p SignedOut) WithBase(b Base) any    { p.Base.ID = b.ID; return p } // the session has ended
func (p Portal) WithBase(b Base) any       { p.Base.ID = b.ID; return p } // no link to itself
func (p Interstitial) WithBase(b Base) any { p.Base = b; return p }
