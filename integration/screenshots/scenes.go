package main

import (
	"strconv"

	"github.com/example-org/authgate/integration/browser"
	"github.com/example-org/authgate/integration/stage"
)

// scene is a picture and how to get there.
type scene struct {
	name string
	take func() []byte
}

// The size of a picture, in CSS pixels.
const (
	width  = 900
	height = 640
)

func scenes(t browser.TB, chromium *browser.Chromium, s *stage.Stage) []scene {
	bob, operator := chromium.Profile(t), chromium.Profile(t)
	for _, tab := range []*browser.Tab{bob, operator} {
		tab.Resize(width, height, 1)
	}
	page := func(tab *browser.Tab, scheme, address string) func() []byte {
		return func() []byte {
			tab.Prefer(scheme, "en")
			tab.Open(address)
			tab.Await("h1")
			hideFolder(tab, s.Files.Dir)
			return tab.Screenshot()
		}
	}
	signIn(bob, s, "bob")
	signInOperator(operator, s)
	return []scene{
		{"denied", page(bob, "light", s.ArgoCD+"/settings")},
		{"portal", page(bob, "light", s.ArgoCD+"/oauth2/")},
		{"operator", page(operator, "light", s.Admin+"/")},
		{"refusals", page(operator, "light", s.Admin+"/refusals")},
		{"explain", page(operator, "dark", s.Admin+"/explain?group=example-org%3Adev&method=POST&target=argocd%3A%2Fapi%2Fv1%2Fapplications%2Fweb%2Fsync#answer")},
	}
}

// hideFolder shows the policy where an installation has it, and not in a temporary folder.
func hideFolder(tab *browser.Tab, dir string) {
	browser.Script[bool](tab, `(() => {
		const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
		while (texts.nextNode()) texts.currentNode.data = texts.currentNode.data.replaceAll(`+strconv.Quote(dir)+`, "/etc/authgate")
		return true
	})()`)
}

func signIn(tab *browser.Tab, s *stage.Stage, login string) {
	tab.Open(s.ArgoCD + "/settings") // a page of authgate: bob may not open it
	tab.Click("button[value=" + login + "]")
	tab.Await(".brand")
}

func signInOperator(tab *browser.Tab, s *stage.Stage) {
	tab.Open(s.Admin + "/")
	tab.Type("#token", adminToken)
	tab.Click("main button")
	tab.Await("nav")
}
