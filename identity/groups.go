package identity

import (
	"context"
	"encoding/json"
	"strings"
)

// Why a login brings no groups: reasons for GroupDropped, once per login or refresh.
const (
	droppedNoClaim = "no_claim"
	droppedOverage = "overage"
)

// findGroups finds the groups claim by its exact name, else by its path, separated by dots.
// It gives the name under which it was found; empty if it is absent.
func (c claims) findGroups(name string) (in claims, at string) {
	if !c.absent(name) {
		return c, name
	}
	for {
		first, rest, nested := strings.Cut(name, ".")
		if c.absent(first) {
			return nil, ""
		}
		if !nested {
			return c, first
		}
		var inner claims
		if json.Unmarshal(c[first], &inner) != nil { // a path leads through objects only
			return nil, ""
		}
		c, name = inner, rest
	}
}

// hasGroupsOverage reports whether the issuer left the groups out because there are too
// many: by _claim_names (OpenID Connect Core 1.0, section 5.6.2), or by Entra's hasgroups.
func (c claims) hasGroupsOverage(name string) bool {
	var elsewhere claims
	_ = json.Unmarshal(c["_claim_names"], &elsewhere) // anything but an object names nothing
	first, _, _ := strings.Cut(name, ".")
	return !elsewhere.absent(name) || !elsewhere.absent(first) || name == "groups" && c.isTrue("hasgroups")
}

// reportMissingGroups counts a login or a refresh without groups although the configuration
// expects some, and logs the first of each kind.
func (rp *RelyingParty) reportMissingGroups(ctx context.Context, c claims, p Principal) {
	name := rp.cfg.GroupsClaim
	if name == "" {
		return
	}
	if p.GroupsOverage {
		rp.cfg.GroupDropped(droppedOverage)
		rp.overageLogged.Do(func() {
			rp.log.WarnContext(ctx, "the issuer leaves out the groups of a user who is in too many", "claim", name,
				"hint", "have the issuer send fewer groups, such as only those assigned to the application; "+
					"this is logged once, authgate_groups_dropped_total counts")
		})
		return
	}
	if _, at := c.findGroups(name); at == "" {
		rp.cfg.GroupDropped(droppedNoClaim)
		rp.noClaimLogged.Do(func() {
			rp.log.WarnContext(ctx, "an ID token has no claim for groups, so its user is in none", "claim", name,
				"hint", "compare issuer.groupsClaim and issuer.scopes with what the issuer sends; "+
					"some issuers leave the claim out for users without groups; "+
					"this is logged once, authgate_groups_dropped_total counts")
		})
	}
}
