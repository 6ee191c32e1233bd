"""HTTP only: routes and views, the forms that come in, the answers that go out.

A view is one sentence: fields in, one flow, answer out. Only this room and `app` import Flask.
"""
