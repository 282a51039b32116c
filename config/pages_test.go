package config_test

import (
	"strings"
	"testing"

	"github.com/example-org/authgate/config"
)

const pagesHead = `issuer: {url: "https://dex.example.com", clientID: a, clientSecret: b}
session: {keys: {file: k}}
upstreams: [{name: a, hosts: ["*"], url: "http://a"}]
pages:
`

func loadPages(t *testing.T, lines string) (*config.Config, error) {
	t.Helper()
	return config.Parse("authgate.yaml", []byte(pagesHead+lines))
}

func TestPagesAreRefusedWithThePositionOfWhatIsWrong(t *testing.T) {
	t.Parallel()
	for lines, want := range map[string]string{
		`  name: ""`:                                          `5:9: pages.name: is empty`,
		"  name: \"a\\x07b\"":                                 `5:9: pages.name: has a control character`,
		`  name: ` + strings.Repeat("n", 61):                  `5:9: pages.name: is 61 `,
		`  accent: bluu`:                                      `5:11: pages.accent: "bluu" is not a CSS colour`,
		`  accent: "#12345"`:                                  `is not a CSS colour`,
		`  accent: "#fff"`:                                    `"#fff" has a contrast of 1.00:1 with the background of the light scheme`,
		`  accent: "#111"`:                                    `with the background of the dark scheme`,
		`  accent: yellow`:                                    `of the light scheme`,
		`  accent: navy`:                                      `of the dark scheme`,
		`  accent: transparent`:                               `is not opaque`,
		`  accent: rgba(200,30,30,.5)`:                        `is not opaque`,
		`  accent: "red;} body{display:none"`:                 `is not a CSS colour`,
		`  accent: url(https://evil.example/)`:                `is not a CSS colour`,
		`  accent: 123456`:                                    `must be a string, not a number`,
		`  helpURL: /help`:                                    `5:12: pages.helpURL: "/help" does not begin with https:, http: or mailto:`,
		`  helpURL: wiki.example.com`:                         `does not begin with`,
		`  helpURL: "JavaScript:alert(1)"`:                    `does not begin with`,
		`  helpURL: "data:text/html,x"`:                       `does not begin with`,
		`  helpURL: "vbscript:x"`:                             `does not begin with`,
		`  helpURL: "https:///x"`:                             `has no host`,
		`  helpURL: "mailto:"`:                                `has no e-mail address`,
		`  helpURL: "mailto:?subject=a@b"`:                    `has no e-mail address`,
		`  helpURL: " https://a.example"`:                     `is not a URL`,
		`  helpURL: "https://u:pw@a.example"`:                 `has a user or a password`,
		`  requestAccessURL: "https://a.example/?q={usr}"`:    `5:21: pages.requestAccessURL: "{usr}" is not known; did you mean {user}?`,
		`  requestAccessURL: "https://a.example/?q={}"`:       `"{}" is not known; write one of {user}, {email}`,
		`  requestAccessURL: "https://a.example/?q={User}"`:   `did you mean {user}?`,
		`  requestAccessURL: "https://a.example/?q={{user}}"`: `has a { without a }`,
		`  requestAccessURL: "https://a.example/?q={user"`:    `has a { without a }`,
		`  requestAccessURL: "https://a.example/?q=user}"`:    `has a } without a {`,
		`  requestAccessURL: "https://{upstream}.example/"`:   `has a placeholder in its host`,
		`  requestAccessURL: "https://a.example:8{id}/"`:      `is not a URL`,
		`  requestAccessURL: "mailto:{email}"`:                `has no e-mail address`,
		`  requestAccessURL: "mailto:{user}@example.com"`:     `has a placeholder in its host or address`,
		`  requestAccessURL: "{path}"`:                        `does not begin with`,
		`  requestAccessURL: "javascript:alert('{user}')"`:    `does not begin with`,
		`  requestAccessURL: "ftp://a.example/{user}"`:        `does not begin with`,
		`  showGroups: "yes"`:                                 `5:15: pages.showGroups: must be true or false`,
		`  templates: "https://a.example/"`:                   `is not a path`,
		`  logo: [a.svg]`:                                     `5:9: pages.logo: must be a string`,
		`  lang: de`:                                          `5:3: pages: unknown key "lang"; known here: name, logo, accent, helpURL`,
	} {
		if _, err := loadPages(t, lines+"\n"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngot  %v\nwant %s", lines, err, want)
		}
	}
}

func TestPagesTakeColoursAndLinks(t *testing.T) {
	t.Parallel()
	for _, lines := range []string{
		"  {}", "  accent: ''", "  accent: '#0b6bcb'", "  accent: teal", "  accent: hsl(350 80% 48%)", "  accent: rgb(9, 105, 218)",
		"  helpURL: https://wiki.example.com/authgate?a=b#c", "  helpURL: mailto:help@example.com?subject=authgate",
		"  requestAccessURL: ''", "  requestAccessURL: https://a.example/{upstream}/{user}?id={id}", "  requestAccessURL: mailto:a@b.example?body={path}",
		"  name: 会社のゲート",
	} {
		if _, err := loadPages(t, lines+"\n"); err != nil {
			t.Errorf("%s: %v", lines, err)
		}
	}
}

func TestRequestAccessURLEncodesWhatItIsGiven(t *testing.T) {
	t.Parallel()
	c, err := loadPages(t, `  requestAccessURL: "https://github.com/example-org/access/issues/new?title=Access+for+{user}&body={email}|{group}|{role}|{upstream}|{method}|{path}|{id}#x"`)
	if err != nil {
		t.Fatal(err)
	}
	got := c.Pages.RequestAccessURL.Expand(map[string]string{
		"user": "a&b=c#d", "email": "ana+x@example.com", "group": "example-org:ar go", "upstream": "日本", "method": "GET", "path": "/a%2Fb/{id}", "id": "1",
	})
	want := "https://github.com/example-org/access/issues/new?title=Access+for+a%26b%3Dc%23d&body=ana%2Bx%40example.com|example-org%3Aar%20go||" +
		"%E6%97%A5%E6%9C%AC|GET|%2Fa%252Fb%2F%7Bid%7D|1#x"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
