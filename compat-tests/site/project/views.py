"""The site's one view of its own."""

from django.http import JsonResponse
from django.views.decorators.csrf import csrf_exempt
from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework.decorators import api_view, permission_classes
from rest_framework.permissions import IsAdminUser, IsAuthenticated
from rest_framework.response import Response
from rest_framework.serializers import CharField


@extend_schema(responses=inline_serializer("Secret", {"message": CharField()}))
@api_view(["GET"])
@permission_classes([IsAuthenticated])
def secret(request):
    return Response({"message": "This is a secret message."})


@api_view(["GET"])
@permission_classes([IsAdminUser])
def staff(request):
    return Response({"message": "For staff."})


@csrf_exempt
def whoami(request):
    """What a plain view is told of the user: every header that WSGI could read as one of the proxy's."""
    told = {name: value for name, value in request.META.items() if name.startswith("HTTP_X_AUTH")}
    return JsonResponse({"method": request.method, "told": told, "body": request.body.decode()})
