"""Single sign-on by OpenID Connect: a lab's own accounts open this site, its groups give roles.

django-allauth speaks the protocol (authorization code with PKCE). Ours is what it decides about:
who may enter, what an account is made of, which groups give which role, and when a second factor
is asked for. Settings: ``OIDC_…``; they are read in ``config.oidc``.
"""
