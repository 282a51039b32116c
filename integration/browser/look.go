package browser

import (
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// Prefer has pages shown as users of a colour scheme and a language see them.
func (b *Tab) Prefer(scheme, language string) {
	b.t.Helper()
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, media)
	if err == nil {
		_, err = chromedp.Call(b.ctx, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{
			Headers: network.Headers{"Accept-Language": language},
		})
	}
	if err != nil {
		b.t.Fatalf("preferring %s and %s: %v", scheme, language, err)
	}
}

// Resize sets the size of the page's window, in CSS pixels, and how many pixels of an image one
// of them takes.
func (b *Tab) Resize(width, height int64, scale float64) {
	b.t.Helper()
	run(b, "resizing", chromedp.EmulateViewport(width, height, chromedp.EmulateScale(scale)))
}

// Screenshot is the page as it is to be seen, as PNG.
func (b *Tab) Screenshot() []byte {
	b.t.Helper()
	return run(b, "taking a screenshot", chromedp.CaptureScreenshot())
}

// Cookies are those that the browser would send to an address, with their attributes.
func (b *Tab) Cookies(address string) []*network.Cookie {
	b.t.Helper()
	found, err := chromedp.Call(b.ctx, network.GetCookies, network.GetCookiesParams{URLs: []string{address}})
	if err != nil {
		b.t.Fatalf("reading cookies: %v", err)
	}
	return found.Cookies
}
