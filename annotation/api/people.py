"""REST of a project's people: members and invitations."""

from __future__ import annotations

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation import access, leases
from annotation.api.base import ById, KnownParameters, idempotent, user_of
from annotation.models import Invitation, Membership, User
from annotation.models.projects import Role
from annotation.onboarding import joining


class MemberSerializer(serializers.ModelSerializer):
    """A person's place in a project."""

    username = serializers.CharField(source="user.username")

    class Meta:
        model = Membership
        fields = ["id", "username", "role", "paused", "paused_reason", "joined_at"]


class MemberInSerializer(serializers.Serializer):
    username = serializers.CharField(max_length=150, help_text="Of somebody with an account.")
    role = serializers.ChoiceField(Role.choices)

    def validate_username(self, username: str) -> User:
        user = User.objects.filter(username=username, is_active=True).first()
        if user is None:
            raise serializers.ValidationError("Nobody has this username; send an invitation.")
        return user


class MemberChangeSerializer(serializers.Serializer):
    role = serializers.ChoiceField(Role.choices, required=False)
    paused = serializers.BooleanField(
        required=False, help_text="A paused member is handed no work; open leases return."
    )


class InvitationSerializer(serializers.ModelSerializer):
    """An invitation that nobody has used yet."""

    class Meta:
        model = Invitation
        fields = ["id", "role", "note", "created_at", "expires_at"]


class InvitationInSerializer(serializers.Serializer):
    role = serializers.ChoiceField(Role.choices)
    note = serializers.CharField(max_length=120, required=False, allow_blank=True)


class InvitationMadeSerializer(InvitationSerializer):
    link = serializers.CharField(
        allow_null=True, help_text="Shown once: null when the same request is sent again."
    )

    class Meta(InvitationSerializer.Meta):
        fields = [*InvitationSerializer.Meta.fields, "link"]


class Members(KnownParameters, generics.ListAPIView):
    """The members of a project."""

    scopes = {"GET": "read", "POST": "manage"}
    serializer_class = MemberSerializer
    pagination_class = ById
    queryset = Membership.objects.none()

    def get_queryset(self) -> QuerySet[Membership]:
        project = access.require(self.request.user, self.kwargs["slug"], "manage")
        return project.memberships.select_related("user")

    @extend_schema(request=MemberInSerializer, responses={201: MemberSerializer})
    @idempotent
    def post(self, request: Request, slug: str) -> Response:
        """Adds somebody who has an account already."""
        project = access.require(request.user, slug, "manage")
        sent = MemberInSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        membership = joining.add(
            project, sent.validated_data["username"], sent.validated_data["role"]
        )
        return Response(MemberSerializer(membership).data, status=status.HTTP_201_CREATED)


class MemberDetail(KnownParameters, APIView):
    """One member."""

    scopes = {"GET": "read", "PATCH": "manage", "DELETE": "manage"}

    @extend_schema(responses=MemberSerializer)
    def get(self, request: Request, slug: str, pk: int) -> Response:
        return Response(MemberSerializer(self._member(request, slug, pk)).data)

    @extend_schema(request=MemberChangeSerializer, responses=MemberSerializer)
    def patch(self, request: Request, slug: str, pk: int) -> Response:
        """Changes the role, pauses or resumes. A project keeps at least one manager."""
        membership = self._member(request, slug, pk)
        sent = MemberChangeSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        if "role" in sent.validated_data:
            joining.change_role(membership, sent.validated_data["role"])
        paused = sent.validated_data.get("paused")
        if paused is not None and paused != membership.paused:
            (leases.pause if paused else joining.resume)(membership)
        return Response(MemberSerializer(membership).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, slug: str, pk: int) -> Response:
        """Ends the membership; the person's judgments stay."""
        joining.remove(self._member(request, slug, pk))
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _member(self, request: Request, slug: str, pk: int) -> Membership:
        project = access.require(request.user, slug, "manage")
        return get_object_or_404(project.memberships.select_related("user"), pk=pk)


class Invitations(KnownParameters, generics.ListAPIView):
    """Invitations that can still be used."""

    scopes = {"GET": "read", "POST": "manage"}
    serializer_class = InvitationSerializer
    pagination_class = ById
    queryset = Invitation.objects.none()

    def get_queryset(self) -> QuerySet[Invitation]:
        project = access.require(self.request.user, self.kwargs["slug"], "manage")
        return project.invitations.usable()

    @extend_schema(request=InvitationInSerializer, responses={201: InvitationMadeSerializer})
    @idempotent(secrets=("link",))
    def post(self, request: Request, slug: str) -> Response:
        """Makes a link by which one person joins. Only its digest is kept."""
        project = access.require(request.user, slug, "manage")
        sent = InvitationInSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        invitation, raw = Invitation.create(
            project, created_by=user_of(request), **sent.validated_data
        )
        link = request.build_absolute_uri(reverse("annotation:join", args=[raw]))
        about = {**InvitationSerializer(invitation).data, "link": link}
        return Response(about, status=status.HTTP_201_CREATED)


class InvitationDetail(KnownParameters, APIView):
    """One invitation."""

    scopes = {"DELETE": "manage"}

    @extend_schema(responses={204: None})
    def delete(self, request: Request, slug: str, pk: int) -> Response:
        """Withdraws a link that nobody has used."""
        project = access.require(request.user, slug, "manage")
        get_object_or_404(project.invitations.usable(), pk=pk).delete()
        return Response(status=status.HTTP_204_NO_CONTENT)
