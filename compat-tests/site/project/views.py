"""The site's one view of its own."""

from rest_framework.decorators import api_view, permission_classes
from rest_framework.permissions import IsAdminUser, IsAuthenticated
from rest_framework.response import Response


@api_view(["GET"])
@permission_classes([IsAuthenticated])
def secret(request):
    return Response({"message": "This is a secret message."})


@api_view(["GET"])
@permission_classes([IsAdminUser])
def staff(request):
    return Response({"message": "For staff."})
