package clilogin_test

import (
	"testing"

	"github.com/example-org/authgate/identity/clilogin"
)

func TestABrowserIsOpenedWhereItWouldBeSeen(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		system, variable string
		want             bool
	}{
		{"linux", "", false},
		{"linux", "DISPLAY", true},
		{"linux", "WAYLAND_DISPLAY", true},
		{"linux", "BROWSER", true},
		{"linux", "SSH_CONNECTION", false},
		{"darwin", "", true},
		{"darwin", "SSH_CONNECTION", false},
		{"windows", "", true},
		{"windows", "SSH_CONNECTION", false},
	} {
		getenv := func(name string) string {
			if name == c.variable {
				return "x"
			}
			return ""
		}
		if got := clilogin.HasDisplay(c.system, getenv); got != c.want {
			t.Errorf("%s with %q: %t", c.system, c.variable, got)
		}
	}
}

func TestOnlyWebAddressesAreOpened(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"file:///bin/sh", "javascript:alert(1)", "-e", "", "calc.exe"} {
		if err := clilogin.OpenBrowser("linux", address); err == nil {
			t.Errorf("%q is opened", address)
		}
	}
}
