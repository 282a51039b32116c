package stage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
)

// token finds what begins as every signed JSON Web Token does (RFC 7515, 7.1).
var token = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}`)

// FindLeaks looks through everything that authgate has written down (its log, its
// audit, its metrics) for what must stay secret: its keys and client secret, the
// cookies and login parameters of every browser, what GitHub and Dex handed out,
// and any token. It names each kind that it found and repeats none. Call it while
// authgate runs, and before the stage is closed.
func (s *Stage) FindLeaks(ctx context.Context) error {
	secrets := map[string]string{DexSecret: "the client secret"} // :: value → what it is
	keys, err := os.ReadFile(s.Files.Keys)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(keys)) {
		secrets[strings.TrimSpace(line)] = "a session key"
	}
	for _, v := range s.visitors {
		for _, value := range v.Secrets() {
			secrets[value] = "a cookie or a login parameter of " + v.Login
		}
	}
	if s.GitHub != nil {
		for _, value := range s.GitHub.Secrets() {
			secrets[value] = "a word of GitHub's"
		}
	}
	for token := range s.Files.accounts {
		secrets[token] = "a token of a ServiceAccount"
	}
	if s.Backchannel != nil {
		for _, value := range s.Backchannel.Secrets() {
			secrets[value] = "a token of Dex's"
		}
	}
	delete(secrets, "")
	written := map[string]string{} // :: name → content
	for name, file := range map[string]string{"log": s.Files.Log, "audit": s.Files.Audit} {
		content, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		written[name] = string(content)
	}
	if metrics, err := s.Metrics(ctx); err == nil { // authgate may have been stopped
		written["metrics"] = metrics
	}
	var errs []error
	for name, content := range written {
		for value, what := range secrets {
			if strings.Contains(content, value) {
				errs = append(errs, fmt.Errorf("authgate's %s holds %s", name, what))
			}
		}
		if token.MatchString(content) {
			errs = append(errs, fmt.Errorf("authgate's %s holds a token", name))
		}
	}
	return errors.Join(errs...)
}
