package policy

// Subjects gives what else than roles somebody is to the policy, sorted: groups,
// ORG:*, user:EMAIL and system:NAME, as far as its rows name them. With it an
// audit can be held to another policy, where roles alone cannot tell what a
// changed g row does. The caller must not change them.
func (r Roles) Subjects() []string { return r.others }
