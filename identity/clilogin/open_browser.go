package clilogin

import (
	"os/exec"

	"github.com/example-org/authgate/identity"
)

// OpenBrowser hands an address to whatever opens addresses on a system (GOOS). What
// it starts is not waited for: some of these programs live as long as the browser.
func OpenBrowser(system, address string) error {
	if _, err := identity.ParseHTTPURL(address); err != nil { // these programs open files as well
		return err
	}
	args := []string{"xdg-open", address}
	switch system {
	case "darwin":
		args = []string{"open", address}
	case "windows": // not `cmd /c start`, which takes & for the end of a command
		args = []string{"rundll32", "url.dll,FileProtocolHandler", address}
	}
	cmd := exec.Command(args[0], args[1:]...) // its output goes nowhere: ours is the token
	if err := cmd.Start(); err != nil {
		return err
	}
	return cmd.Process.Release()
}

// HasDisplay guesses whether a browser that is opened here would be seen.
func HasDisplay(system string, getenv func(string) string) bool {
	if getenv("DISPLAY") != "" || getenv("WAYLAND_DISPLAY") != "" || getenv("BROWSER") != "" {
		return true
	}
	if system != "darwin" && system != "windows" {
		return false
	}
	return getenv("SSH_CONNECTION") == ""
}
